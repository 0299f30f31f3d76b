"""The snapshot the invariants are judged by holds up nobody, also on a connection that was never used before."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from django.db import connection, transaction

from tradingsite.foundation import audit, invariants
from tradingsite.foundation.models import AuditEvent

pytestmark = pytest.mark.django_db(transaction=True)


def _in_a_fresh_thread(act: Callable[[], None]) -> None:
    """With a connection of its own that is not open yet, as in a command."""
    errors: list[BaseException] = []

    def go() -> None:
        try:
            act()
        except BaseException as e:  # noqa: BLE001 - carried over to the test's own thread
            errors.append(e)
        finally:
            connection.close()

    thread = threading.Thread(target=go)
    thread.start()
    thread.join(60)
    assert not errors, errors


def _write() -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA busy_timeout=200")
    audit.record(action="test.write", actor=audit.system("test"))


@pytest.mark.parametrize("used_before", [False, True])
def test_others_write_while_the_invariants_are_judged_and_are_not_seen(used_before: bool) -> None:
    done = threading.Event()

    def judge() -> None:
        if used_before:
            connection.ensure_connection()
        with invariants.one_instant():
            assert AuditEvent.objects.count() == 0
            writer = threading.Thread(target=lambda: (_write(), connection.close(), done.set()))
            writer.start()
            writer.join(3)
            assert done.is_set(), "the writer waited"
            assert AuditEvent.objects.count() == 0
        assert AuditEvent.objects.count() == 1

    _in_a_fresh_thread(judge)


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="only SQLite's transactions have a mode")
def test_transactions_after_it_take_the_write_lock_first_again() -> None:
    def act() -> None:
        with invariants.one_instant():
            pass
        with transaction.atomic():
            mode = connection.transaction_mode  # type: ignore[attr-defined]
            assert mode == "IMMEDIATE"

    _in_a_fresh_thread(act)


def test_a_transaction_within_is_a_savepoint() -> None:
    def act() -> None:
        with invariants.one_instant(), transaction.atomic(), invariants.one_instant():
            assert AuditEvent.objects.count() == 0

    _in_a_fresh_thread(act)
