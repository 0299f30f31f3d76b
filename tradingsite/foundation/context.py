"""What the current request or job is, for logs and audit rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_request_id: ContextVar[str] = ContextVar("request_id", default="")


def request_id() -> str:
    """The id of the request or job being served here, or ""."""
    return _request_id.get()


@contextmanager
def use_request_id(value: str) -> Iterator[str]:
    """Everything logged and audited inside the block carries `value`."""
    token = _request_id.set(value)
    try:
        yield value
    finally:
        _request_id.reset(token)
