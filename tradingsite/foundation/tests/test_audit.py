from __future__ import annotations

import sqlite3
from datetime import datetime
from decimal import Decimal
from threading import Thread

import pytest
from django.db import DatabaseError, connection, transaction
from django.test import RequestFactory

from tradingsite.foundation import audit, context
from tradingsite.foundation.models import AuditEvent, AuditHead
from tradingsite.foundation.testkit import paused_triggers

LOOP = audit.system("loop")
NAIVE = datetime.fromisoformat("2024-01-01")


def write(count: int) -> None:
    for n in range(count):
        audit.record(action="test.write", actor=LOOP, object_type="thing", object_id=n, after={"n": n})


@pytest.mark.django_db
def test_a_row_says_who_did_what_and_when(at: datetime) -> None:
    request = RequestFactory().get("/", REMOTE_ADDR="192.0.2.7")
    with context.use_request_id("request-1"):
        audit.record(
            action="limit.change", actor=audit.Actor("user", "3", "alice"), object_type="limit", object_id=9,
            before={"max": Decimal("1.50")}, after={"max": Decimal("2")}, reason="calm market", request=request,
        )  # fmt: skip
    row = AuditEvent.objects.get()
    assert (row.sequence, row.at, row.actor_name, row.action, row.object_id) == (
        1,
        at,
        "alice",
        "limit.change",
        "9",
    )
    assert (row.before, row.after, row.reason) == ({"max": "1.5"}, {"max": "2"}, "calm market")
    assert (row.request_id, row.ip, row.previous_hash) == ("request-1", "192.0.2.7", audit.GENESIS)


@pytest.mark.django_db
def test_secrets_and_unstorable_text_do_not_enter_the_log() -> None:
    row = audit.record(
        action="key.change",
        actor=LOOP,
        reason="a\x00b",
        after={"api_key": "AKIA", "nested": [{"password": "p"}], "ok": "\ud800"},
    )
    row.refresh_from_db()
    assert row.after == {"api_key": "***", "nested": [{"password": "***"}], "ok": "?"}
    assert row.reason == "a\\0b"


@pytest.mark.django_db
def test_an_untouched_chain_verifies_whole_and_in_part() -> None:
    assert audit.verify() == audit.AuditReport(True, 0)
    write(5)
    audit.record(
        action="numbers",
        actor=LOOP,
        after={"float": 1e5, "big": 10**20, "none": None, "umlaut": "ü", "at": NAIVE},
    )
    assert audit.verify() == audit.AuditReport(True, 6)
    assert audit.verify(limit=2) == audit.AuditReport(True, 2)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE foundation_auditevent SET reason = 'x'",
        "UPDATE foundation_auditevent SET sequence = 7 WHERE sequence = 1",
        "DELETE FROM foundation_auditevent",
        "DELETE FROM foundation_auditevent WHERE sequence = 2",
        "DELETE FROM foundation_audithead",
        "UPDATE foundation_audithead SET sequence = 0",
    ],
)
def test_the_database_refuses_to_change_the_log(statement: str) -> None:
    write(2)
    with (
        pytest.raises(DatabaseError, match="append-only|forward|stays"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
    assert audit.verify() == audit.AuditReport(True, 2)


@pytest.mark.django_db
def test_the_orm_cannot_change_it_either() -> None:
    write(1)
    row = AuditEvent.objects.get()
    with pytest.raises(DatabaseError), transaction.atomic():
        row.delete()
    row.reason = "changed"
    with pytest.raises(DatabaseError), transaction.atomic():
        row.save()


@pytest.mark.django_db
def test_replacing_or_truncating_is_refused() -> None:
    write(1)
    statement = (
        "INSERT OR REPLACE INTO foundation_auditevent SELECT * FROM foundation_auditevent"
        if connection.vendor == "sqlite"
        else "TRUNCATE foundation_auditevent"
    )
    with (
        pytest.raises(DatabaseError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("statement", "first_bad", "problem"),
    [
        ("UPDATE foundation_auditevent SET reason = 'x' WHERE sequence = 3", 3, "changed"),
        ("UPDATE foundation_auditevent SET actor_name = 'eve' WHERE sequence = 1", 1, "changed"),
        ("UPDATE foundation_auditevent SET hash = previous_hash WHERE sequence = 5", 5, "changed"),
        ("DELETE FROM foundation_auditevent WHERE sequence = 2", 2, "missing"),
        ("DELETE FROM foundation_auditevent WHERE sequence = 1", 1, "missing"),
        ("DELETE FROM foundation_auditevent WHERE sequence > 3", 4, "missing at the end"),
        ("DELETE FROM foundation_auditevent", 1, "missing at the end"),
        ("UPDATE foundation_auditevent SET previous_hash = hash WHERE sequence = 4", 4, "follow"),
    ],
)
def test_tampering_behind_dropped_triggers_is_found(statement: str, first_bad: int, problem: str) -> None:
    write(5)
    with paused_triggers(connection), connection.cursor() as cursor:
        cursor.execute(statement)
    report = audit.verify()
    assert not report.ok and report.first_bad == first_bad and problem in report.problem


@pytest.mark.django_db
def test_a_rewritten_last_row_with_a_fitting_hash_is_found() -> None:
    write(2)
    row = AuditEvent.objects.get(sequence=2)
    row.action = "forged"
    with paused_triggers(connection):
        AuditEvent.objects.filter(pk=row.pk).update(action="forged", hash=audit.digest(row))
    assert audit.verify() == audit.AuditReport(
        False, 2, 2, "the newest row is not the one that was written last"
    )


@pytest.mark.django_db
def test_a_rolled_back_transaction_leaves_no_row_and_no_gap() -> None:
    write(1)
    with pytest.raises(RuntimeError), transaction.atomic():
        write(1)
        raise RuntimeError
    write(1)
    assert list(AuditEvent.objects.order_by("sequence").values_list("sequence", flat=True)) == [1, 2]
    assert audit.verify().ok


@pytest.mark.django_db(transaction=True)
def test_parallel_writers_make_one_chain() -> None:
    errors: list[BaseException] = []

    def work() -> None:
        try:
            write(8)
        except BaseException as e:  # noqa: BLE001
            errors.append(e)
        finally:
            connection.close()

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert audit.verify() == audit.AuditReport(True, 32)
    assert AuditHead.objects.get().sequence == 32


def test_without_recursive_triggers_sqlite_would_let_replace_through() -> None:
    """Why fields.on_connection_created sets the pragma: the hole is real."""
    for recursive, expected in (("OFF", 1), ("ON", 0)):
        raw = sqlite3.connect(":memory:")
        raw.execute(f"PRAGMA recursive_triggers = {recursive}")
        raw.executescript(
            "CREATE TABLE log (id integer primary key, t text); INSERT INTO log VALUES (1, 'a');"
            "CREATE TRIGGER no_delete BEFORE DELETE ON log BEGIN SELECT RAISE(ABORT, 'append-only'); END;"
        )
        try:
            raw.execute("INSERT OR REPLACE INTO log VALUES (1, 'b')")
        except sqlite3.IntegrityError:
            pass
        assert raw.execute("SELECT count(*) FROM log WHERE t = 'b'").fetchone() == (expected,)


@pytest.mark.django_db
def test_every_sqlite_connection_has_recursive_triggers() -> None:
    if connection.vendor != "sqlite":
        pytest.skip("a SQLite matter")
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA recursive_triggers")
        assert cursor.fetchone() == (1,)
