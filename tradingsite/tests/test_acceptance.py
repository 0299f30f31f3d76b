"""Acceptance points of the pages that need no browser; their numbers are those of docs/acceptance.md."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import translation

from assets.markets.calendars import forget as forget_days
from assets.markets.models import Instrument, Quote
from assets.markets.services.calendar_days import sync
from assets.trading.selectors import books
from orchestrator.models import Decision, ProcessBeat, Run, Workflow
from orchestrator.selectors.acknowledgement import acknowledgement
from orchestrator.services import beats, control
from tradingsite.foundation import alerts, audit, clock
from tradingsite.foundation.numbers_text import money
from tradingsite.tests import api_world

pytestmark = pytest.mark.django_db

SOMEBODY = audit.Actor("user", "1", "Alice")
ROLES = ("loop", "feed", "workers:trading", "workers:maintenance")


@pytest.fixture
def world(at: datetime, db: Any) -> api_world.World:
    return api_world.build(at)


@pytest.fixture
def page(alice: Any, client: Client) -> Any:
    def read(path: str, status: int = 200) -> str:
        client.force_login(alice)  # now, whatever time the test has made it: sessions end
        answer = client.get(path)
        assert answer.status_code == status, (path, answer.status_code)
        return answer.content.decode()

    return read


# --- 4 --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/assets/forex/", "/workflows/", "/decisions/", "/health/", "/help/"])
def test_4_every_page_says_in_words_whether_money_is_real(world: Any, page: Any, path: str) -> None:
    html = page(path)
    assert re.search(r"<title>(\(\d+!\) )?\[DEMO\]", html)
    assert re.search(r'class="badge badge-demo"[^>]*>.*?DEMO', html, re.S)


# --- 8 --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("language", "words"), [("en", "To the overview"), ("fr", "Vers la vue d’ensemble")])
def test_8_errors_have_a_page_with_a_way_back(alice: Any, client: Client, language: str, words: str) -> None:
    client.force_login(alice)
    answer = client.get("/nowhere/", headers={"accept-language": language, "x-request-id": "abc"})
    html = answer.content.decode()
    assert answer.status_code == 404
    assert f'lang="{language}"' in html and 'href="/"' in html and "Traceback" not in html
    assert answer.headers["X-Request-ID"] in html
    with translation.override(language):
        assert words.replace("’", "'") in html.replace("’", "'").replace("&#x27;", "'")


# --- 9 --------------------------------------------------------------------------------------------------------


def _english(amount: Decimal, currency: str) -> str:
    with translation.override("en"):
        return str(money(amount, currency))


def test_9_overview_asset_pages_api_and_command_tell_the_same_equity(
    world: Any, page: Any, client: Client, at: datetime
) -> None:
    found = books.all_books(at)
    by_currency: dict[str, Decimal] = {}
    for book in found:
        by_currency[book.currency] = by_currency.get(book.currency, Decimal(0)) + book.equity.equity
        assert _english(book.equity.equity, book.currency) in page(f"/assets/{book.asset_type}/")
    overview = page("/")
    for currency, total in by_currency.items():
        assert _english(total, currency) in overview
    document = client.get("/api/portfolio/").json()
    assert {row["currency"]: Decimal(row["equity"]) for row in document["totals"]} == by_currency
    out = io.StringIO()
    call_command("portfolio", "--json", stdout=out)
    assert json.loads(out.getvalue())["portfolio"]["totals"] == document["totals"]


# --- 12 -------------------------------------------------------------------------------------------------------


def test_12_a_silent_feed_is_late_then_stale_and_the_last_value_stays(
    world: Any, page: Any, at: datetime
) -> None:
    quote = Quote.objects.select_related("instrument").filter(instrument__asset_type="crypto_lt")[0]
    Quote.objects.filter(pk=quote.pk).update(at=at, last=Decimal("123.45"))
    words = {}
    for minutes in (0, 1.6, 30):
        with clock.use(clock.FixedClock(at + timedelta(minutes=minutes))):
            html = page("/instruments/?asset=crypto_lt")
        row = re.search(rf"<tr[^>]*>(?:(?!</tr>).)*{re.escape(quote.instrument.symbol)}.*?</tr>", html, re.S)
        assert row and "123.4" in row[0]
        words[minutes] = next(word for word in ("fresh", "late", "stale") if word in row[0])
    assert list(words.values()) == ["fresh", "late", "stale"]


# --- 14 -------------------------------------------------------------------------------------------------------


def test_14_what_needs_somebody_is_told_worst_first_with_one_way_on(
    world: Any, page: Any, at: datetime
) -> None:
    Workflow.objects.filter(slug="forex").update(status="halted")
    html = page("/")
    needs = re.search(r'id="overview-top".*?</ul>', html, re.S)
    assert needs
    items = re.findall(r"<li>(.*?)</li>", needs[0], re.S)
    worst = [0 if "critical" in item else 1 for item in items]
    assert worst == sorted(worst) and worst[0] == 0 and len(items) >= 3
    assert all(item.count("<a ") == 1 for item in items)


def test_14_a_stop_with_open_positions_leaves_something_to_do(world: Any, page: Any, at: datetime) -> None:
    control.start(SOMEBODY, at, "test")
    assert "unattended" not in page("/")
    control.stop(SOMEBODY, at, "test")
    html = page("/")
    found = re.search(r"<li>((?:(?!</li>).)*unattended.*?)</li>", html, re.S)
    assert found and "Nothing needs you." not in html
    assert 'href="/control/"' in found[1] and "Pause entries" in found[1]


def test_14_with_nothing_to_do_it_says_so(at: datetime, page: Any) -> None:
    assert "Nothing needs you." in page("/")


# --- 17 -------------------------------------------------------------------------------------------------------

LONDON_AND_NEW_YORK = [  # Europe changes on 29 March 2026, New York on 8 March
    (datetime(2026, 3, 6, 12, 30, tzinfo=UTC), False),
    (datetime(2026, 3, 10, 12, 30, tzinfo=UTC), True),
    (datetime(2026, 3, 31, 12, 30, tzinfo=UTC), True),
    (
        datetime(2026, 10, 27, 12, 30, tzinfo=UTC),
        True,
    ),  # Europe back since the 25th, New York not before 1 November
    (datetime(2026, 11, 3, 12, 30, tzinfo=UTC), False),
]


@pytest.mark.parametrize(("when", "both"), LONDON_AND_NEW_YORK)
def test_17_forex_sessions_follow_both_summer_times(
    world: Any, page: Any, when: datetime, both: bool
) -> None:
    with clock.use(clock.FixedClock(when)):
        html = page("/assets/forex/")
    lede = re.search(r'<p class="lede">(.*?)</p>', html, re.S)
    assert lede and "Market open" in lede[1] and "London" in lede[1]
    assert ("New York" in lede[1]) is both


@pytest.fixture
def new_york(db: Any) -> Iterator[None]:
    sync("XNYS", datetime(2026, 11, 20, tzinfo=UTC), start=date(2026, 11, 1))
    yield
    forget_days()


CLOSED = [
    (datetime(2026, 11, 21, 15, 0, tzinfo=UTC), "Market closed"),  # Saturday
    (datetime(2026, 11, 26, 16, 0, tzinfo=UTC), "Market closed"),  # Thanksgiving
    (datetime(2026, 11, 27, 17, 30, tzinfo=UTC), "Market open"),  # the half-day after it, 12:30 in New York
    (datetime(2026, 11, 27, 18, 30, tzinfo=UTC), "Market closed"),  # 13:30
]


@pytest.mark.parametrize(("when", "words"), CLOSED)
def test_17_the_etf_page_knows_weekends_holidays_and_half_days(
    world: Any, page: Any, new_york: None, when: datetime, words: str
) -> None:
    with clock.use(clock.FixedClock(when)):
        html = page("/assets/etf/")
    lede = re.search(r'<p class="lede">(.*?)</p>', html, re.S)
    assert lede and words in lede[1]
    assert ("opens" in lede[1]) is (words == "Market closed")


# --- 19 -------------------------------------------------------------------------------------------------------


def test_19_an_unknown_timeframe_is_refused_in_words(world: api_world.World, page: Any) -> None:
    html = page(f"/instruments/{world.instrument.pk}/?tf=7x", 400)
    assert "7x" in html and "15m" in html


# --- 29 -------------------------------------------------------------------------------------------------------


def _beat(at: datetime, epoch: int, roles: tuple[str, ...] = ROLES) -> None:
    ProcessBeat.objects.all().delete()
    for role in roles:
        ProcessBeat.objects.update_or_create(
            name=f"{role}@here:1",
            defaults={
                "role": role,
                "host": "here",
                "pid": 1,
                "started_at": at,
                "beat_at": at,
                "info": {"switch_epoch": epoch},
            },
        )


def test_29_a_stop_is_stopping_until_everybody_has_heard_it(world: Any, page: Any, at: datetime) -> None:
    Run.objects.filter(status="running").delete()
    _beat(at, control.current().epoch)
    control.stop(SOMEBODY, at, "enough")
    assert "Stopping" in page("/ui/frame/status/")
    epoch = control.current().epoch
    _beat(at, epoch, ROLES[:-1])
    assert "Stopping" in page("/ui/frame/status/")
    _beat(at, epoch)
    html = page("/ui/frame/status/")
    assert "Stopped" in html and "Trading is stopped" in html


def test_29_without_an_answer_it_is_requested_but_not_confirmed(world: Any, page: Any, at: datetime) -> None:
    control.stop(SOMEBODY, at, "enough")
    epoch = control.current().epoch
    with clock.use(clock.FixedClock(at + timedelta(seconds=31))):
        _beat(clock.now(), epoch, ROLES[:-2])
        html = page("/ui/frame/status/")
        assert "not confirmed" in html and "workers:trading, workers:maintenance" in html


def test_29_a_run_that_is_still_going_on_keeps_it_stopping(world: Any, at: datetime) -> None:
    control.stop(SOMEBODY, at, "enough")
    _beat(at, control.current().epoch)
    row = Run.objects.filter(status="queued")[0]
    Run.objects.filter(pk=row.pk).update(status="running")
    heard = acknowledgement(control.current(), at)
    assert (heard.state, heard.running) == ("waiting", Run.objects.filter(status="running").count())


def test_29_a_halt_file_here_confirms_nothing_for_another_host(
    world: Any, at: datetime, settings: Any, tmp_path: Path
) -> None:
    control.start(SOMEBODY, at, "")
    ProcessBeat.objects.all().delete()
    beats.Beater("loop").beat(at)
    settings.HALT_FILE = tmp_path / "HALT"
    control.engage_halt_file("enough")
    assert acknowledgement(control.current(), at).state == "confirmed"
    ProcessBeat.objects.create(
        name="loop@elsewhere:1", role="loop", host="elsewhere", pid=1, started_at=at, beat_at=at, info={}
    )
    heard = acknowledgement(control.current(), at)
    assert (heard.state, heard.silent) == ("unconfirmed", ("loop",))


def test_29_a_process_beats_with_the_switch_it_sees(at: datetime) -> None:
    control.start(SOMEBODY, at, "")
    beats.Beater("loop").beat(at)
    assert ProcessBeat.objects.get(role="loop").info["switch_epoch"] == control.current().epoch == 1


# --- 38 -------------------------------------------------------------------------------------------------------


def test_38_skips_that_say_the_same_are_one_quiet_row(
    world: api_world.World, page: Any, at: datetime
) -> None:
    workflow = Workflow.objects.get(slug="etf")
    Decision.objects.filter(workflow=workflow).delete()
    skip = api_world.make_decision(workflow, at - timedelta(hours=9))
    values = {field.attname: getattr(skip, field.attname) for field in Decision._meta.concrete_fields}
    values |= {
        "action": "skip",
        "gates": [{"code": "market_closed", "value": "weekend", "threshold": "open"}],
        "cause": "",
    }
    Decision.objects.filter(workflow=workflow).delete()
    for moment in (at - timedelta(minutes=5 * n) for n in range(6)):
        Decision.objects.create(
            **(values | {"id": None, "decided_at": moment, "last_seen_at": moment, "fold_count": 8})
        )
    html = page(f"/decisions/?workflow={workflow.pk}")
    assert "48 checks skipped" in html and html.count('class="decision is-quiet"') == 1


# --- 47 -------------------------------------------------------------------------------------------------------


def test_47_a_worker_that_is_gone_is_missing_on_the_health_page(world: Any, page: Any, at: datetime) -> None:
    _beat(at, 1)
    with clock.use(clock.FixedClock(at + timedelta(seconds=90))):
        assert "missing" in page("/health/")


def test_an_alert_is_told_in_the_bell_and_the_title(at: datetime, page: Any) -> None:
    alerts.raise_alert(key="disk", code="disk-low", severity="critical", now=at, params={"free_mb": 3})
    assert "<title>(1!) [DEMO]" in page("/")


def test_the_demo_instruments_are_the_only_ones_shown_while_prices_are_simulated(
    world: Any, page: Any
) -> None:
    html = page("/instruments/")
    real = Instrument.objects.filter(is_demo=False).values_list("pk", flat=True)
    assert not any(f'href="/instruments/{pk}/"' in html for pk in real)
