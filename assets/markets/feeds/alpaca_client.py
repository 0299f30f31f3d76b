"""How alpaca-py is called: time limits it does not have, no second attempts of its own, numbers that stay exact.

alpaca-py costs 81 MB: it is imported by the functions that make its clients, never with this module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, cast

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter

CONNECT_S: Final = 3.0
DEADLINE_S: Final = 10.0  # for a whole call; afterwards its outcome is unknown
_BLOCKED_FOR: Final = timedelta(minutes=1)  # the venue counts by the minute
_LONGEST_BLOCK: Final = timedelta(minutes=10)

Caller = Callable[[str, Any], Any]


class _Exact(Response):
    """An answer whose JSON numbers are Decimals."""

    def json(self, **named: Any) -> Any:
        return super().json(parse_float=Decimal, **named)


class TooLate(Exception):
    """A request was held up until nobody wanted it any more. Its body has not left, so the venue cannot act on it."""


class _Guarded:
    """A body that is asked for when the connection stands, and then refuses to leave too late."""

    def __init__(self, body: bytes, is_late: Callable[[], bool]) -> None:
        self._body, self._is_late = body, is_late

    def __iter__(self) -> Iterator[bytes]:
        if self._is_late():
            raise TooLate
        yield self._body


class Wire(HTTPAdapter):
    """Sends once, within the time limits, and remembers how the last answer began. `status` 0: there was none."""

    def __init__(self) -> None:
        super().__init__(max_retries=0)
        self.is_late: Callable[[], bool] | None = None
        self.status = 0
        self.headers: Mapping[str, str] = {}

    def send(self, request: PreparedRequest, *arguments: Any, **named: Any) -> Response:
        self.status, self.headers = 0, {}
        if self.is_late is not None:
            if self.is_late():
                raise TooLate
            body = request.body if isinstance(request.body, bytes) else str(request.body or "").encode()
            # With its length in the headers; names may have to be resolved and a line be set up before this is read.
            request.body = cast(Any, _Guarded(body, self.is_late))
        answer = super().send(request, *arguments, **(named | {"timeout": (CONNECT_S, DEADLINE_S)}))
        self.status, self.headers = answer.status_code, answer.headers
        answer.__class__ = _Exact
        return answer


class Line:
    """One client of alpaca-py and its thread. `make` imports and makes the client, at the first call."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._client: Any = None
        self._worker: ThreadPoolExecutor | None = None
        self.wire = Wire()

    def ready(self) -> None:
        """Make the client: the first time this takes most of a second."""
        if self._client is None:
            self._client = self._fitted()

    def call(
        self,
        method: str,
        path: str,
        data: Any,
        *,
        deadline_s: float,
        is_late: Callable[[], bool] | None = None,
    ) -> Any:
        """The parsed answer, None for an empty one. Raises TimeoutError, TooLate and whatever the client raises.

        `is_late` is asked right before the body leaves.

        The limits of the wire are for each read; a venue that drips bytes would hold us for ever without the deadline.
        """
        self.ready()
        if self._worker is None:
            self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="alpaca")
        self.wire.status, self.wire.is_late = 0, is_late
        function = cast(Caller, getattr(self._client, method))
        future = self._worker.submit(function, path, data)
        try:
            return future.result(timeout=deadline_s)
        except TimeoutError:
            # Leave the stuck thread with its connection; the next call starts with new ones.
            self._worker.shutdown(wait=False, cancel_futures=True)
            self._worker = self._client = None
            raise

    def _fitted(self) -> Any:
        client, self.wire = self._make(), Wire()
        session = client._session
        session.trust_env = False  # no .netrc may put other credentials into a signed call
        session.mount("https://", self.wire)
        session.mount("http://", self.wire)
        # alpaca-py waits and repeats after a 429: that would send an order again, and hold a poll for nine seconds.
        client._retry = 0
        return client


def blocked_until(headers: Mapping[str, str], now: datetime) -> datetime:
    """End of a block after a 429: what the venue says, else a minute; between a second and ten minutes."""
    reset, wait = headers.get("X-Ratelimit-Reset", ""), headers.get("Retry-After", "")
    until = now + _BLOCKED_FOR
    if wait.isdigit() and len(wait) < 7:
        until = now + timedelta(seconds=int(wait))
    elif reset.isdigit() and len(reset) < 12:
        until = datetime.fromtimestamp(int(reset), UTC)
    return min(max(until, now + timedelta(seconds=1)), now + _LONGEST_BLOCK)


def time_of(text: Any) -> datetime:
    """A time of Alpaca's (RFC 3339, up to nanoseconds). Raises ValueError, also without a zone; TypeError."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"a time without a zone: {text!r}")
    return at.astimezone(UTC)


def text_of(at: datetime) -> str:
    """A time as Alpaca wants it."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
