"""What pages say: the verb that will happen, who holds what, which accounts, what to do next."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from assets.markets.models import Instrument
from assets.trading.models import Account
from orchestrator import plugins
from orchestrator.engine.serialise import decision_to_row
from orchestrator.engine.types import Bounds, Conditions, Exposure, History, HostLoad, Subject
from orchestrator.evaluation import decide
from orchestrator.models import Decision, Workflow
from orchestrator.pages import forms
from orchestrator.selectors import pages_decisions
from orchestrator.services import control
from tradingsite.foundation import audit, clock
from tradingsite.management.bootstrap import bootstrap

pytestmark = pytest.mark.django_db
ACTOR = audit.system("test")


@pytest.fixture
def ready() -> None:
    bootstrap(datetime(2026, 11, 20, 12, 0, tzinfo=UTC))


def text_of(client: Client, path: str) -> str:
    return client.get(path).content.decode()


def make_decision(
    workflow: Workflow, at: datetime, *, was_hot: bool = False, volatility: float = 0.78
) -> Decision:
    subject = Subject(key=workflow.slug, bounds=Bounds(min_s=60, base_s=300, max_s=900), is_trading=True)
    conditions = Conditions(
        as_of=at, volatility=volatility, volatility_threshold=0.8, data_age_s=1.0, data_age_limit_s=60.0
    )
    exposure, load, history = Exposure(), HostLoad(), History(last_run_at=at, was_hot=was_hot)
    made = decide(subject, conditions, exposure, load, history, at)
    row = decision_to_row(
        made, subject=subject, conditions=conditions, exposure=exposure, load=load, history=history, now=at
    )
    return Decision.objects.create(workflow=workflow, **row)


# --- The switch ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/control/", "/ui/control/dialog/"])
def test_the_button_has_the_words_of_every_verb_and_the_style_sheet_shows_the_chosen_one(
    path: str, bob: Any, client: Client, ready: None
) -> None:
    control.start(ACTOR, clock.now(), "test")
    client.force_login(bob)
    html = text_of(client, path)
    offered = set(re.findall(r'name="position" value="(\w+)"', html))
    assert offered == {"paused", "draining", "stopped"}
    button = html[html.rindex('type="submit"') :]
    for verb in offered:
        words = re.search(rf'value="{verb}".*?<strong>(.*?)</strong>', html, re.S)
        assert words and f'data-verb="{verb}">{words[1]}</span>' in button
    assert "Do this now" not in html


def test_while_the_switch_is_stopped_workflows_are_held_and_cannot_be_run(
    bob: Any, client: Client, ready: None
) -> None:
    control.stop(ACTOR, clock.now(), "test")
    client.force_login(bob)
    pk = Workflow.objects.get(slug="forex").pk
    for path in (f"/workflows/{pk}/", "/workflows/", "/assets/forex/"):
        html = text_of(client, path)
        assert "held by the switch" in html and 'href="/control/"' in html
        run_now = re.search(rf'/workflows/{pk}/run-now/".*?</form>', html, re.S)
        assert run_now and " disabled " in run_now[0] and "start trading first" in run_now[0]
    refused = client.post(f"/workflows/{pk}/run-now/")
    assert refused.status_code == 423 and 'href="/control/"' in refused.content.decode()
    assert "held by the switch" in text_of(client, "/")


def test_a_list_of_workflows_follows_the_switch(bob: Any, client: Client, ready: None) -> None:
    control.start(ACTOR, clock.now(), "test")
    client.force_login(bob)
    version = re.search(r"\?v=([0-9a-f]+)", text_of(client, "/ui/workflows/rows/"))
    assert version and client.get(f"/ui/workflows/rows/?v={version[1]}").status_code == 204
    control.stop(ACTOR, clock.now(), "test")
    assert client.get(f"/ui/workflows/rows/?v={version[1]}").status_code == 200


# --- Decisions -----------------------------------------------------------------------------------------------


def test_decisions_are_shown_with_the_time_they_are_sorted_by(bob: Any, client: Client, ready: None) -> None:
    flow, now = Workflow.objects.get(slug="forex"), clock.now()
    old = make_decision(flow, now - timedelta(minutes=9))
    make_decision(flow, now - timedelta(minutes=5))
    Decision.objects.filter(pk=old.pk).update(last_seen_at=now - timedelta(minutes=1), fold_count=400)
    shown = [row.at for row in pages_decisions.timeline(pages_decisions.Filter()).rows]
    assert shown == sorted(shown, reverse=True)
    client.force_login(bob)
    times = re.findall(r'class="at nowrap"><time datetime="([^"]+)"', text_of(client, "/decisions/"))
    assert len(times) == 2 and times == sorted(times, reverse=True)


def test_the_hysteresis_of_the_threshold_is_explained(bob: Any, client: Client, ready: None) -> None:
    flow = Workflow.objects.get(slug="forex")
    client.force_login(bob)
    hot = text_of(client, f"/decisions/{make_decision(flow, clock.now(), was_hot=True).pk}/")
    assert hot.count("0.76 (0.80 less 5 %, since it was above)") == 2  # in the sentence and in the table
    calm = text_of(client, f"/decisions/{make_decision(flow, clock.now()).pk}/")
    assert "since it was above" not in calm and "0.80" in calm


# --- The rest ------------------------------------------------------------------------------------------------


def test_the_equity_chart_names_its_currency_and_accounts(bob: Any, client: Client, ready: None) -> None:
    client.force_login(bob)
    account = Account.objects.get(asset_type="forex", is_demo=True)
    html = text_of(client, "/assets/forex/")
    chart = html[html.index('id="h-equity"') :]
    assert f"<strong>{account.currency}</strong> · {account.name}" in chart
    data = client.get("/ui/trading/equity/?asset=forex").json()
    assert data["accounts"] == [account.name] and data["currency"] == account.currency
    overview = client.get("/ui/trading/equity/").json()
    for name in overview["accounts"]:
        assert name in text_of(client, "/")


def test_an_instrument_without_candles_says_how_to_import_some(bob: Any, client: Client, ready: None) -> None:
    client.force_login(bob)
    row = Instrument.objects.filter(is_demo=False).first()
    assert row is not None
    html = text_of(client, f"/instruments/{row.pk}/?tf=1d")
    assert f"manage.py import_candles {row.symbol}_1d.csv.gz --instrument {row.symbol} --timeframe 1d" in html


def test_form_errors_name_fields_as_the_form_does(bob: Any, client: Client, ready: None) -> None:
    client.force_login(bob)
    flow = Workflow.objects.get(slug="forex")
    typed = {param.name: forms._as_typed(param, param.default) for param in plugins.get(flow.type_key).params}
    posted = {
        "version": flow.version,
        "name": "x" * 200,
        **typed,
        "min_interval_s": "15",
        "max_interval_s": "30",
    }
    html = client.post(f"/workflows/{flow.pk}/edit/", posted | {"base_interval_s": "99999"}).content.decode()
    assert "Base interval must be from" in html and "The name must have" in html
    posted |= {"name": "ok", "min_interval_s": "30", "base_interval_s": "20"}
    html += client.post(f"/workflows/{flow.pk}/edit/", posted).content.decode()
    assert "must be in order: shortest, base, longest" in html
    posted |= {"min_interval_s": "15", "volatility_threshold": "99"}
    html += client.post(f"/workflows/{flow.pk}/edit/", posted).content.decode()
    assert "Speed-up volatility must be between" in html
    told = re.sub(r'(name|id|for|href|aria-describedby)="[^"]*"', "", html)
    assert not re.search(r"\w_interval_s|volatility_threshold", told)


@pytest.mark.parametrize("path", ["/audit/", "/audit/check/"])
def test_the_audit_log_is_for_administrators_as_in_the_api(
    path: str, alice: Any, bob: Any, charlie: Any, client: Client
) -> None:
    for user in (bob, charlie):
        client.force_login(user)
        assert client.get(path).status_code == 403
        assert client.get("/api/audit/").status_code == 403
        assert 'href="/audit/"' not in text_of(client, "/")
    client.force_login(alice)
    assert client.get(path).status_code == 200 and 'href="/audit/"' in text_of(client, "/")


def test_the_tick_of_a_chart_is_written_without_an_exponent(alice: Any, client: Client, ready: None) -> None:
    row = Instrument.objects.filter(tick_size=Decimal("1E-8")).first()
    assert row is not None
    client.force_login(alice)
    assert 'data-tick="0.00000001"' in text_of(client, f"/instruments/{row.pk}/")
