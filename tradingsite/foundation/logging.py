"""What every log record carries: the id of the request or job, and no credentials.

The line formats (text and JSON, control characters written out) are chosen in the settings.
"""

from __future__ import annotations

import logging
import re
from typing import Any

from . import context

HIDDEN = "***"

_SECRETS = re.compile(
    r"(?P<keep>tsk_[a-z2-7]{8}_)[\w-]{20,}"
    r"|(?P<scheme>\b(?:Token|Bearer|Basic)\s+)[\w.~+/=-]{12,}"
    r"|(?P<name>\b(?:password|passwd|secret|api_?key|access_?token|signature)[\"']?\s*[=:]\s*[\"']?)[^\s\"'&,;}]+"
    r"|(?P<url>\b[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s/@]+(?=@)",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """`text` with tokens, passwords and credentials in URLs replaced by ***."""
    return _SECRETS.sub(lambda m: next((g for g in m.groups() if g), "") + HIDDEN, text)


def install() -> None:
    """Make all log records carry the request id and redact their message; called once while apps load."""
    make = logging.getLogRecordFactory()
    if getattr(make, "carries_request_id", False):
        return

    def factory(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        if request_id := context.request_id():
            record.request_id = request_id
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            # Wrong arguments: logging itself reports them when it formats the record.
            return record
        cleaned = redact(message)
        if cleaned != message:
            record.msg, record.args = cleaned, None
        return record

    factory.carries_request_id = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(factory)
