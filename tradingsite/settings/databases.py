"""Database settings: SQLite as an embedded database that does not lose writes, or PostgreSQL by URL."""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from .env import wrong

CONNECTION_AGE_S = 300
SQLITE_WAIT_S = 20

# WAL: readers do not block the writer. FULL: a commit survives a power cut (orders!). recursive_triggers:
# without it REPLACE would delete audit rows behind the triggers' back.
SQLITE_PRAGMAS = (
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA recursive_triggers=ON"
)

# A client that crashed, or stands still, must not hold locks for ever: a leader stopped in the middle of a tick keeps its
# lease only for so long. A waiter gives up long before a task's time limit.
POSTGRES_OPTIONS = (
    "-c idle_in_transaction_session_timeout=20000 -c lock_timeout=15000 -c statement_timeout=300000 "
    "-c default_transaction_isolation=read\\ committed"
)


def sqlite(path: Path | str) -> dict[str, Any]:
    """SQLite at `path`. IMMEDIATE takes the write lock first, so a read-then-write never deadlocks."""
    return {
        "ENGINE": "tradingsite.foundation.sqlite",
        "NAME": str(path),
        "CONN_MAX_AGE": CONNECTION_AGE_S,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": SQLITE_WAIT_S,
            "init_command": SQLITE_PRAGMAS,
        },
    }


def postgres(variable: str, url: str) -> dict[str, Any]:
    """PostgreSQL from `postgresql://user:password@host:port/name?sslmode=...`.

    `host=` in the query may name a socket directory. Raises ImproperlyConfigured naming `variable` when the
    URL is not of that form.
    """
    allowed = "postgresql://user:password@host:port/name"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as e:
        raise wrong(variable, url, allowed) from e
    query = dict(parse_qsl(parts.query))
    name = unquote(parts.path.lstrip("/"))
    host = query.pop("host", "") or unquote(parts.hostname or "")
    if parts.scheme not in ("postgresql", "postgres") or not name or not host:
        raise wrong(variable, url, allowed)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": str(port or query.pop("port", "")),
        "CONN_MAX_AGE": CONNECTION_AGE_S,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {"connect_timeout": 10, "options": POSTGRES_OPTIONS, **query},
    }
