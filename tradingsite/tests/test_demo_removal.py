"""Taking the demo away: all of it, nothing else, never while it is in use."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.test import Client

from assets.markets.models import Candle, Instrument, Quote
from assets.trading.models import Account, Fill, Journal, Order
from assets.trading.services import accounts
from orchestrator.models import Decision, Run, Workflow
from tradingsite.foundation import audit, invariants
from tradingsite.foundation.errors import Refused
from tradingsite.foundation.models import AuditEvent
from tradingsite.foundation.testkit import PASSWORD
from tradingsite.management import demo, doctor
from tradingsite.management.bootstrap import bootstrap
from tradingsite.tests.filled import DECISIONS, TRADES

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def demo_and_real(filled: Any, db: None) -> None:
    real = Instrument.objects.filter(is_demo=False).first()
    assert real is not None
    Candle.objects.create(
        instrument=real, timeframe="1m", open_ts=60, open=1, high=1, low=1, close=1, volume=1
    )


def run(capsys: Any, *arguments: str) -> tuple[int, dict[str, Any]]:
    code = 0
    try:
        call_command("seed_demo", *arguments, "--json")
    except SystemExit as stop:
        code = int(stop.code or 0)
    return code, json.loads(capsys.readouterr().out)


def test_no_demo_row_is_left_and_nothing_else_goes(
    demo_and_real: None, settings: Any, tmp_path: Path, capsys: Any
) -> None:
    settings.VAR_DIR = tmp_path
    kept = set(Account.objects.filter(is_demo=False).values_list("pk", flat=True))
    code, document = run(capsys, "--remove", "--confirm", demo.PHRASE)
    assert code == 0 and document["removed"]["orders"] == TRADES
    assert (
        not Account.objects.filter(is_demo=True).exists()
        and not Instrument.objects.filter(is_demo=True).exists()
    )
    assert not Order.objects.exists() and not Fill.objects.exists() and not Quote.objects.exists()
    assert not Decision.objects.exists() and not Run.objects.exists()
    assert set(Account.objects.values_list("pk", flat=True)) == kept
    assert Journal.objects.filter(account__in=kept, posted=True).count() == len(kept)
    assert Candle.objects.count() == 1 and Workflow.objects.exclude(current_decision=None).count() == 0
    event = AuditEvent.objects.get(action="demo.remove")
    assert event.before["orders"] == TRADES and audit.verify().ok
    assert [result for result in invariants.run(NOW) if not result.ok] == []


def test_the_guards_of_the_ledger_act_again_afterwards(demo_and_real: None) -> None:
    demo.remove(audit.system("test"), NOW, is_running=False)
    journal = Journal.objects.filter(posted=True).first()
    assert journal is not None
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM trading_journal WHERE id = %s", [journal.pk])


def test_a_start_does_not_bring_back_what_a_person_took_away(demo_and_real: None) -> None:
    demo.remove(audit.system("test"), NOW, is_running=False)
    bootstrap(NOW)
    bootstrap(NOW)
    assert not Account.objects.filter(is_demo=True).exists()
    assert not Instrument.objects.filter(is_demo=True).exists()


def test_whoever_removes_the_demo_is_told_how_real_prices_come(
    demo_and_real: None, settings: Any, tmp_path: Path, capsys: Any
) -> None:
    settings.VAR_DIR = tmp_path
    code, document = run(capsys, "--remove", "--confirm", demo.PHRASE)
    assert code == 0 and "TRADING_FEED" in document["next"]
    found = {item.name: item for item in doctor.feed(NOW)}
    assert "TRADING_FEED" in found["feed simulated"].fix and "seed_demo" in found["feed simulated"].fix


def test_the_overview_says_that_nothing_trades_without_the_demo(
    demo_and_real: None, alice: Any, client: Client
) -> None:
    client.force_login(alice)
    assert "TRADING_FEED" not in client.get("/").content.decode()
    demo.remove(audit.system("test"), NOW, is_running=False)
    assert "TRADING_FEED" in client.get("/").content.decode()


def test_a_demo_can_be_made_again_afterwards(demo_and_real: None) -> None:
    demo.remove(audit.system("test"), NOW, is_running=False)
    demo.bring_back(audit.system("test"), NOW)
    bootstrap(NOW)
    assert Account.objects.filter(is_demo=True).count() == Account.objects.filter(is_demo=False).count() > 0


def test_with_a_real_feed_no_demo_comes_back(demo_and_real: None, settings: Any) -> None:
    settings.TRADING_FEED = "none"
    demo.remove(audit.system("test"), NOW, is_running=True)
    bootstrap(NOW)
    assert not Account.objects.filter(is_demo=True).exists()
    assert not Instrument.objects.filter(is_demo=True).exists()


def test_a_second_seeding_is_refused_with_the_way_to_begin_anew(
    demo_and_real: None, settings: Any, tmp_path: Path, capsys: Any
) -> None:
    settings.VAR_DIR, settings.TRADING_FEED = tmp_path, "simulated"
    code, document = run(capsys, "--hours", "1")
    assert code == 6 and f'--remove --confirm "{demo.PHRASE}"' in document["problem"]["detail"]
    real = Instrument.objects.filter(is_demo=False).first()
    Quote.objects.create(instrument=real, last=1.0, at=NOW, received_at=NOW)
    code, document = run(capsys, "--hours", "1")
    assert code == 6 and "TRADING_VAR_DIR" in document["problem"]["detail"]


def test_decisions_stay_once_a_real_price_was_seen(demo_and_real: None) -> None:
    real = Instrument.objects.filter(is_demo=False).first()
    Quote.objects.create(instrument=real, last=1.0, at=NOW, received_at=NOW)
    gone = demo.remove(audit.system("test"), NOW, is_running=False)
    assert "decisions" not in gone and Decision.objects.count() == DECISIONS


def test_it_is_refused_while_the_system_trades_with_it(demo_and_real: None) -> None:
    with pytest.raises(Refused):
        demo.remove(audit.system("test"), NOW, is_running=True)
    assert Order.objects.count() == TRADES


def test_without_the_phrase_nothing_goes(
    demo_and_real: None, settings: Any, tmp_path: Path, capsys: Any
) -> None:
    settings.VAR_DIR = tmp_path
    code, document = run(capsys, "--remove")
    assert code == 2 and demo.PHRASE in document["problem"]["detail"] and Order.objects.count() == TRADES


def test_real_money_is_never_a_demo(demo_and_real: None) -> None:
    account = Account.objects.filter(is_demo=False).first()
    assert account is not None
    accounts.open_with(account, Decimal(1), NOW)
    before = Journal.objects.filter(account=account).count()
    demo.remove(audit.system("test"), NOW, is_running=False)
    assert Journal.objects.filter(account=account).count() == before


@pytest.mark.django_db
def test_the_page_asks_for_phrase_reason_and_password_and_shows_it_only_to_administrators(
    alice: Any, bob: Any, client: Client, settings: Any
) -> None:
    settings.TRADING_FEED = "simulated"
    bootstrap(NOW)
    client.force_login(bob)
    assert client.get("/settings/data/").status_code == 403
    client.force_login(alice)
    assert "disabled" in client.get("/settings/data/").content.decode()
    settings.TRADING_FEED = "none"
    answer = client.post("/settings/data/", {"phrase": "yes", "password": "x"})
    assert answer.status_code == 422 and b"f-phrase" in answer.content and b"f-reason" in answer.content
    wrong = client.post("/settings/data/", {"phrase": demo.PHRASE, "reason": "tidy", "password": "wrong"})
    assert wrong.status_code == 422 and Account.objects.filter(is_demo=True).exists()
    right = client.post("/settings/data/", {"phrase": demo.PHRASE, "reason": "tidy", "password": PASSWORD})
    assert right.status_code == 303 and not Account.objects.filter(is_demo=True).exists()
    assert AuditEvent.objects.get(action="demo.remove").reason == "tidy"
