"""SQLite with fair waiting for the write lock.

SQLite's own waiting doubles its pauses up to 100 ms while newcomers try at once: beside three busy writers one was seen
to wait for 3.4 s, although each held the lock for 4 ms. Here everybody tries again within 2 ms, until `timeout` is over.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from django.db.backends.sqlite3 import base

STEP_MS = 3  # SQLite then pauses 1 ms and 2 ms, and gives up
# BUSY_SNAPSHOT is not among them: what a transaction has read is out of date, waiting does not help.
_WORTH_WAITING = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_BUSY_RECOVERY})


class Cursor(base.SQLiteCursorWrapper):
    """A cursor whose statements wait for the lock in steps of STEP_MS, `patience_s` in all.

    `executemany` does not wait: repeated outside a transaction it would write its first rows twice, inside one the lock
    is held already.
    """

    patience_s = 0.0

    def execute(self, query: Any, params: Any = None) -> Any:
        return _patiently(super().execute, query, params, self.patience_s)

    def convert_query(self, query: Any, *, param_names: Any = None) -> Any:
        # A process has few texts, and Django would search each for its marks every time.
        if param_names is None and type(query) is str:
            return _converted(query)
        return super().convert_query(query, param_names=param_names)


@lru_cache(maxsize=1024)
def _converted(query: str) -> str:
    """A query with %s marks as the driver wants it."""
    return str(base.FORMAT_QMARK_REGEX.sub("?", query)).replace("%%", "%")


def _patiently(act: Callable[[Any, Any], Any], query: Any, params: Any, patience_s: float) -> Any:
    until = 0.0  # by the machine's own clock: with a virtual one nobody else would let go of the lock
    while True:
        try:
            return act(query, params)
        except sqlite3.OperationalError as e:
            now = time.monotonic()  # noqa: TID251
            until = until or now + patience_s
            if e.sqlite_errorcode not in _WORTH_WAITING or now >= until:
                raise


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's, with patient cursors. `timeout` in the options is the patience in seconds."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        connection = super().get_new_connection(conn_params)
        connection.execute(f"PRAGMA busy_timeout={STEP_MS}")
        return connection

    def create_cursor(self, name: str | None = None) -> Any:
        cursor = self.connection.cursor(factory=Cursor)
        cursor.patience_s = self.settings_dict["OPTIONS"].get("timeout", 5.0)
        return cursor
