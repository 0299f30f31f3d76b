"""What a person reads: one way to write an interval, numbers and names in the language of the page, nothing cut in a word."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.utils import translation

from assets.trading import reasons
from assets.trading.models import Order
from orchestrator import explain, naming
from orchestrator.explain import reading
from orchestrator.models import Decision, Run, Workflow
from orchestrator.services import workflows
from tradingsite.foundation import audit, numbers_text, said
from tradingsite.tests import api_world

pytestmark = pytest.mark.django_db
NBSP = numbers_text.NBSP


@pytest.fixture
def world(at: datetime, db: Any) -> api_world.World:
    return api_world.build(at)


@pytest.fixture
def french(alice: Any, client: Client) -> Any:
    alice.profile.language = "fr"
    alice.profile.save()
    client.force_login(alice)

    def read(path: str) -> str:
        answer = client.get(path, headers={"accept-language": "fr"})
        assert answer.status_code == 200
        return answer.content.decode()

    return read


@pytest.mark.parametrize("seconds", [5094, 210, 89, 60, 86_400, 3_600, 12_345])
def test_an_interval_is_written_in_one_way(seconds: float) -> None:
    assert reading.duration(seconds) == numbers_text.duration(seconds)


def test_reasons_of_an_order_are_told_in_the_notation_of_the_reader() -> None:
    with translation.override("fr"):
        assert "21,2" in reasons.sentence({"code": "dca_buy", "value": 21.197, "params": {"every_h": 24}})
        fall = reasons.sentence({"code": "drawdown", "value": -0.03677, "params": {}})
        assert f"{numbers_text.MINUS}3,68" in fall and "3.68" not in fall


def test_stored_facts_have_names_and_numbers_of_the_reader() -> None:
    stored = {"weight": None, "target": "0.103", "equity": "100000", "data_age_s": 13.06, "is_open": True}
    with translation.override("fr"):
        assert said.pairs(stored) == (
            ("poids", "–"), ("cible", "0,103"), ("capitaux", f"100{NBSP}000"),
            ("âge des données", f"13{NBSP}s"), ("marché ouvert", "oui"),
        )  # fmt: skip


def test_stored_times_are_told_like_any_other_time() -> None:
    assert said.pairs({"as_of": "2026-11-22T23:52:13.056801+00:00"}) == (("as of", "22 Nov 2026 23:52:13"),)


def test_a_structure_is_told_in_full_and_not_cut() -> None:
    many = {
        f"COIN{n}": {"volatility": 1.25, "bars": n, "regime": "calm", "trend": -0.5, "x": 1}
        for n in range(30)
    }
    (fact,) = said.facts({"coins": many})
    assert len(fact.inner) == 30 and fact.inner[29].name == "COIN29"
    assert [inner.text for inner in fact.inner[29].inner][:3] == ["1.25", "29", "calm"]
    assert said.facts({"bounds": {"min_s": 60, "base_s": 300, "max_s": 900}})[0].text == (
        f"shortest 1{NBSP}min, base 5{NBSP}min, longest 15{NBSP}min"
    )


def test_a_workflow_is_called_by_its_title_until_a_person_renames_it(
    world: Any, french: Any, alice: Any, at: datetime
) -> None:
    for path in ("/", "/workflows/", "/runs/", "/decisions/"):
        assert not re.search(r"Market analysis|Crypto long term\b", french(path)), path
    assert "Analyse de marché" in french("/workflows/")
    row = Workflow.objects.get(slug="crypto_lt")
    assert naming.shown(row.type_key, "Crypto long term") != "My savings"
    Workflow.objects.filter(pk=row.pk).update(name="My savings")
    assert "My savings" in french("/workflows/")


def test_a_form_saved_in_french_does_not_freeze_the_french_title(world: Any) -> None:
    with translation.override("fr"):
        title = naming.shown("crypto_lt", "Crypto long term")
    assert title != "Crypto long term"
    with translation.override("en"):
        assert naming.shown("crypto_lt", title) == "Crypto long term"


def test_the_first_run_is_told_in_a_sentence(world: Any, french: Any) -> None:
    run = Run.objects.first()
    Run.objects.filter(pk=run.pk).update(cause="first")  # type: ignore[union-attr]
    html = french(f"/runs/{run.pk}/")  # type: ignore[union-attr]
    assert "planifiée car c’était la première exécution" in html


def test_an_order_page_is_french_all_through(world: Any, french: Any) -> None:
    order = Order.objects.select_related("intent").first()
    assert order is not None
    intent = order.intent
    intent.pk, intent.key, intent.sizing = None, "again", {"target": "0.103", "held": "0", "equity": "100000"}
    intent.save(force_insert=True)
    order.pk, order.client_id, order.venue_id, order.intent = None, "again", "again", intent
    order.save(force_insert=True)
    html = french(f"/trading/orders/{order.pk}/")
    assert "<dt>cible</dt>" in html and "<dt>target</dt>" not in html and "0,103" in html


def test_a_decision_is_told_in_factors_and_intervals(world: Any, alice: Any, client: Client) -> None:
    client.force_login(alice)
    row = Decision.objects.exclude(factors=[]).first()
    assert row is not None
    html = client.get(f"/decisions/{row.pk}/").content.decode()
    assert "e^sum" not in html and "logarithm" not in html
    shown = re.findall(r'data-label="Effect">([^<]*)', html)
    assert shown[0] == numbers_text.duration(explain.factors(row)[0].value)
    assert all(text.startswith("×") for text in shown[1:]) and len(shown) == len(row.factors)


def test_words_are_broken_only_where_nothing_else_helps() -> None:
    css = (Path(settings.BASE_DIR) / "static" / "css" / "base.css").read_text(encoding="utf-8")
    body = re.search(r"\nbody \{(.*?)\}", css, re.S)
    assert body and "anywhere" not in body[1] and "break-word" in body[1]


def test_the_age_of_a_position_is_not_both_a_time_and_a_duration(
    world: Any, alice: Any, client: Client
) -> None:
    client.force_login(alice)
    html = client.get("/trading/positions/").content.decode()
    assert "Open for" not in html


def test_each_strip_of_figures_says_whose_it_is(world: Any, alice: Any, client: Client) -> None:
    client.force_login(alice)
    html = client.get("/").content.decode()
    strips = re.findall(r'<section aria-labelledby="h-figures-\d+">(.*?)</section>', html, re.S)
    assert len(strips) == 2
    heads = [re.search(r"<h2 [^>]*>(.*?)</h2>", strip, re.S) for strip in strips]
    assert {head[1] for head in heads if head} == {"Demo accounts in USD", "Demo accounts in USDT"}
    assert all("vh" not in head[0] for head in heads if head)


def test_a_workflow_made_by_a_person_keeps_its_name(at: datetime, db: Any) -> None:
    row = workflows.create(
        type_key="crypto_lt", slug="mine", name="Mine", actor=audit.system("test"), now=at.astimezone(UTC)
    )
    assert naming.shown(row.type_key, row.name) == "Mine"
