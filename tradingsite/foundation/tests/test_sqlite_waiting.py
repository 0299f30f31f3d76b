"""Waiting for SQLite's write lock: in short steps, not for ever, and not where it cannot help."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError

from tradingsite.foundation.sqlite.base import STEP_MS, DatabaseWrapper
from tradingsite.settings import databases

pytestmark = pytest.mark.django_db  # its guard refuses every connection elsewhere


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database with one table and one row."""
    path = tmp_path / "waiting.sqlite3"
    with sqlite3.connect(path) as link:
        link.execute("PRAGMA journal_mode=WAL")
        link.execute("CREATE TABLE t (n INTEGER)")
        link.execute("INSERT INTO t VALUES (1)")
    link.close()
    return path


@pytest.fixture
def ours(path: Path) -> Iterator[DatabaseWrapper]:
    found = _open(path)
    yield found
    found.close()


def _open(path: Path, timeout: float = 20.0, mode: str = "IMMEDIATE") -> DatabaseWrapper:
    settings: dict[str, Any] = databases.sqlite(path) | {
        "TIME_ZONE": None,
        "AUTOCOMMIT": True,
        "ATOMIC_REQUESTS": False,
    }
    settings["OPTIONS"] = settings["OPTIONS"] | {"timeout": timeout, "transaction_mode": mode}
    return DatabaseWrapper(settings, alias="waiting")


def _held(path: Path) -> sqlite3.Connection:
    """Somebody else, in the middle of writing."""
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    other.execute("UPDATE t SET n = n + 1")
    return other


def test_a_statement_waits_until_the_other_writer_is_done(path: Path, ours: DatabaseWrapper) -> None:
    other, tries = _held(path), 0
    link = ours.cursor().connection

    def let_go_at_the_third_try(text: str) -> None:
        nonlocal tries
        tries += text.startswith("UPDATE")
        if tries == 3 and other.in_transaction:
            other.execute("COMMIT")

    link.set_trace_callback(let_go_at_the_third_try)
    with ours.cursor() as cursor:
        cursor.execute("UPDATE t SET n = n * %s", [10])
        cursor.execute("SELECT n FROM t")
        assert cursor.fetchone() == (20,)
    assert tries >= 3
    other.close()


def test_a_transaction_waits_for_its_turn(path: Path, ours: DatabaseWrapper) -> None:
    other = _held(path)
    timer = threading.Timer(5 * STEP_MS / 1000, lambda: other.execute("COMMIT"))
    timer.start()
    ours.ensure_connection()
    ours._start_transaction_under_autocommit()
    with ours.cursor() as cursor:
        cursor.execute("SELECT n FROM t")
        assert cursor.fetchone() == (2,)
        cursor.execute("ROLLBACK")
    timer.join()
    other.close()


def test_patience_has_an_end(path: Path) -> None:
    other, impatient = _held(path), _open(path, timeout=0.05)
    with impatient.cursor() as cursor, pytest.raises(OperationalError, match="locked"):
        cursor.execute("UPDATE t SET n = 0")
    impatient.close()
    other.close()


def test_a_reader_whose_view_is_out_of_date_is_told_at_once(path: Path) -> None:
    reader = _open(path, mode="DEFERRED")
    with reader.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT n FROM t")
        cursor.fetchall()
        other = _held(path)
        other.execute("COMMIT")
        with pytest.raises(OperationalError) as caught:
            cursor.execute("UPDATE t SET n = 0")
        cause = caught.value.__cause__
        assert isinstance(cause, sqlite3.OperationalError)
        assert cause.sqlite_errorcode == sqlite3.SQLITE_BUSY_SNAPSHOT
        cursor.execute("ROLLBACK")
    reader.close()
    other.close()
