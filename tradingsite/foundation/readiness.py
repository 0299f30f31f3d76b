"""Is this process able to serve? Which part is not, and nothing more: anybody may ask."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from django.core.cache import cache
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django_q.brokers import get_broker

from tradingsite.foundation import clock, ids

logger = logging.getLogger(__name__)

_MIGRATED_FOR_S = 60.0  # reading all migration files takes a while, and they do not come and go

_ANSWER_HOLDS_S = 1.0  # anybody may ask as often as they like; that must not load the database

_migrated_until = float("-inf")
_answered_at = float("-inf")
_answer: dict[str, bool] = {}
_lock = threading.Lock()


def components() -> dict[str, bool]:
    """Name -> whether it works, for database, migrations, cache and queue; at most a second old."""
    global _answer, _answered_at
    with _lock:  # of many who ask at once, one looks
        if not 0 <= clock.monotonic() - _answered_at < _ANSWER_HOLDS_S:
            _answer = {name: _works(name, check) for name, check in _checks.items()}
            _answered_at = clock.monotonic()
        return dict(_answer)


def forget() -> None:
    """Look at everything again next time."""
    global _migrated_until, _answered_at
    _migrated_until = _answered_at = float("-inf")


def _works(name: str, check: Callable[[], bool]) -> bool:
    try:
        return check()
    except Exception:  # whatever a broken part raises, the answer is that it is broken
        logger.warning("Not ready: %s", name, exc_info=True)
        return False


def _database() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        return bool(cursor.fetchone() == (1,))


def _migrations() -> bool:
    global _migrated_until
    if clock.monotonic() < _migrated_until:
        return True
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        return False
    _migrated_until = clock.monotonic() + _MIGRATED_FOR_S
    return True


def _cache() -> bool:
    key, value = "readiness", ids.request_id()
    cache.set(key, value, 10)
    # Another process may have written in between: what matters is that something comes back.
    return cache.get(key) is not None


def _queue() -> bool:
    get_broker().queue_size()
    return True


_checks: dict[str, Callable[[], bool]] = {
    "database": _database,
    "migrations": _migrations,
    "cache": _cache,
    "queue": _queue,
}
