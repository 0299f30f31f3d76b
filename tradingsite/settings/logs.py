"""Logging: one line per event on standard error, as text or JSON. Control characters cannot forge lines."""

import json
import logging
from datetime import UTC, datetime
from typing import Any

# A headline or user name may contain newlines or terminal codes: show them, do not obey them.
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), 127, 0x85, 0x9B, 0x2028, 0x2029)}


def printable(text: str) -> str:
    """`text` with control characters written out, so that it is always one line."""
    return text.replace("\n", "\\n").translate(_CONTROL)


class LineFormatter(logging.Formatter):
    """`time level logger message`, UTC; a traceback follows indented on its own lines."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, tz=UTC).isoformat(timespec="milliseconds")
        line = f"{at} {record.levelname:<7} {record.name} {printable(record.getMessage())}"
        if record.exc_info:
            trace = self.formatException(record.exc_info)
            line += "".join(f"\n    {printable(part)}" for part in trace.splitlines())
        return line


class JsonFormatter(logging.Formatter):
    """One JSON object per line: at, level, logger, message, process, and request_id / run_id when present."""

    def format(self, record: logging.LogRecord) -> str:
        event: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, tz=UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
        }
        for name in ("request_id", "run_id"):
            value = getattr(record, name, None)
            if value is not None:
                event[name] = str(value)
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        return json.dumps(event, ensure_ascii=True)


def configuration(*, level: str, style: str) -> dict[str, Any]:
    """LOGGING for Django. `style` is "text" or "json"."""
    formatter = JsonFormatter if style == "json" else LineFormatter
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"default": {"()": formatter}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "default"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # The library brings its own handler; ours is enough.
            "django-q": {"handlers": ["stderr"], "level": level, "propagate": False},
            "django": {"handlers": ["stderr"], "level": level, "propagate": False},
            "django.server": {"handlers": ["stderr"], "level": level, "propagate": False},
            "django.db.backends": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
        },
    }
