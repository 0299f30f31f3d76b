"""The sentences people read, built from what the engine stores."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone, translation
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import explain
from orchestrator.engine.counterfactuals import Inputs
from orchestrator.engine.serialise import decision_to_row, to_json
from orchestrator.engine.types import Bounds, Conditions, Exposure, History, HostLoad, Subject, Switch
from orchestrator.explain import reading
from orchestrator.models import Decision
from orchestrator.tests.engine.strategies import examples
from orchestrator.tests.engine.test_properties import ANYTHING
from tradingsite.foundation.numbers_text import NBSP

NOW = datetime(2026, 3, 6, 14, 5, tzinfo=UTC)  # a Friday
SUBJECT = Subject(key="toy", bounds=Bounds(min_s=120, base_s=300, max_s=900), is_trading=True)
HISTORY = History(last_run_at=NOW - timedelta(minutes=2, seconds=1), interval_s=300.0)
IDLE = HostLoad(cpu=0.34, ram=0.5)
HOT = Conditions(volatility=0.86, trend=0.5)


def row_of(
    conditions: Conditions = HOT,
    *,
    subject: Subject = SUBJECT,
    exposure: Exposure | None = None,
    load: HostLoad = IDLE,
    history: History = HISTORY,
) -> dict[str, Any]:
    inputs = Inputs(subject, conditions, exposure or Exposure(), load, history, NOW)
    decision = inputs.decide()
    parts = {name: getattr(inputs, name) for name in ("subject", "conditions", "exposure", "load", "history")}
    return decision_to_row(decision, **parts, now=NOW)


def breaking(text: str) -> str:
    """The text with ordinary spaces between numbers and units."""
    return text.replace(NBSP, " ")


@pytest.fixture(autouse=True)
def _english_in_utc() -> Any:
    with translation.override("en"), timezone.override("UTC"):
        yield


def test_a_run_says_why_with_value_and_threshold_the_interval_and_what_is_next() -> None:
    assert breaking(explain.sentence(row_of())) == (
        "Ran now, 2 min 1 s after the last run (base 5 min): volatility 0.86 above 0.80, uptrend, at least 2 min; "
        "CPU 34 % allows. Interval 5 min → 2 min. Next check 14:07 UTC."
    )


def test_a_wait_says_what_it_waits_for() -> None:
    assert breaking(explain.sentence(row_of(Conditions(volatility=0.4)))) == (
        "Waits, 2 min 1 s after the last run (base 5 min): volatility 0.40 not above 0.80; CPU 34 % allows. "
        "Interval 5 min. Next check 14:07 UTC."
    )


def test_a_skip_names_the_gate_and_its_end() -> None:
    closed = Conditions(
        is_open=False, closed_reason="weekend", next_open_at=datetime(2026, 3, 8, 21, tzinfo=UTC)
    )
    assert explain.sentence(row_of(closed)) == "Skipped: market closed (weekend) until Sun 21:00 UTC."


def test_a_skip_without_a_known_end_says_so() -> None:
    stale = Conditions(data_age_s=200, data_age_limit_s=180)
    assert breaking(explain.sentence(row_of(stale))) == (
        "Skipped: data is 3 min 20 s old, more than 3 min. Looks again as soon as that changes."
    )
    stopped = replace(SUBJECT, switch=Switch.STOPPED)
    assert explain.sentence(row_of(subject=stopped)).startswith("Skipped: the switch is on stopped.")


def test_values_that_round_to_the_threshold_are_shown_with_more_digits() -> None:
    assert "volatility 0.801 above 0.800" in explain.sentence(row_of(Conditions(volatility=0.801)))


@pytest.mark.parametrize(
    ("conditions", "exposure", "words"),
    [
        (Conditions(move_sigmas=2.4), Exposure(), "the price moved 2.40 sigma, band 2.00"),
        (Conditions(), Exposure(open_positions=1, stop_distance_sigmas=0.8), "a stop is 0.80 sigma away"),
        (Conditions(last_edge_at=NOW, session="london"), Exposure(), "session change (london)"),
        (Conditions(), Exposure(), "volatility unknown, taken as ordinary"),
        (Conditions(session="tokyo", session_activity=0.3), Exposure(), "quiet session (tokyo)"),
        (Conditions(), Exposure(open_positions=1, exposure_ratio=0.5), "exposure 50 % of equity"),
        (Conditions(trend=-1.0), Exposure(), "downtrend"),
    ],
)
def test_reasons_are_named(conditions: Conditions, exposure: Exposure, words: str) -> None:
    assert words in explain.sentence(row_of(conditions, exposure=exposure))


def test_the_machine_is_named_by_its_scarcest_part() -> None:
    full = HostLoad(cpu=0.3, ram=0.93)
    assert "memory 93 % slows it down" in explain.sentence(row_of(load=full))
    held = explain.sentence(row_of(load=full, exposure=Exposure(open_positions=1)))
    assert "memory 93 % does not delay open positions" in held


def test_requests_first_runs_and_retries_are_named() -> None:
    asked = replace(HISTORY, manual_requested_at=NOW)
    assert "somebody asked for it" in explain.sentence(row_of(history=asked))
    assert explain.sentence(row_of(history=History())).startswith("Ran for the first time: volatility")
    failed = replace(HISTORY, consecutive_failures=2, last_run_at=NOW - timedelta(hours=3))
    text = explain.sentence(row_of(history=failed))
    assert "tried again after a failure" in text
    assert "2 failures in a row" in text


def test_a_stored_row_and_its_json_read_the_same() -> None:
    row = row_of()
    stored = Decision(**row)
    as_json = json.loads(json.dumps(to_json(row), allow_nan=False))
    assert explain.sentence(stored) == explain.sentence(row) == explain.sentence(as_json)
    assert explain.factors(stored) == explain.factors(as_json)
    assert explain.counterfactuals(stored) == explain.counterfactuals(as_json)


def test_the_reader_time_zone_is_used() -> None:
    with timezone.override("Europe/Paris"):
        assert explain.sentence(row_of()).endswith("Next check 15:07 CET.")


def test_the_text_is_translated_when_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    row = row_of()
    words = sys.modules["orchestrator.explain.sentence"]
    monkeypatch.setattr(words, "_", lambda text: "Aufwärts" if text == "uptrend" else text)
    assert "Aufwärts" in explain.sentence(row)


def test_factors_have_labels_units_and_effects() -> None:
    texts = {item.code: item for item in explain.factors(row_of())}
    assert [item.code for item in explain.factors(row_of())] == [
        "base", "volatility", "trend", "session", "load", "exposure", "failures", "learned", "bounds", "dead_band",
    ]  # fmt: skip
    assert breaking(texts["base"].value_text) == "5 min"
    assert (texts["volatility"].value_text, texts["volatility"].threshold_text) == ("0.86", "0.80")
    assert texts["volatility"].effect_text == "shortens by 60 %"
    assert texts["load"].label == "Machine load (CPU)"
    assert texts["load"].value_text == "34 %"
    assert texts["session"].effect_text == "no effect"
    assert texts["learned"].value_text == "1.00 (n = 0)"
    unknown = {item.code: item for item in explain.factors(row_of(Conditions()))}
    assert unknown["volatility"].value_text == "unknown"


def test_gates_have_text_value_and_limit() -> None:
    held = explain.gates(row_of(Conditions(data_age_s=600, data_age_limit_s=180, venue_up=False)))
    assert [item.code for item in held] == ["data_stale", "venue_down"]
    assert (breaking(held[0].value_text), breaking(held[0].limit_text)) == ("10 min", "3 min")
    assert held[1].text == "the venue is down"


def test_counterfactuals_say_what_would_have_happened() -> None:
    texts = {item.code: item.text for item in explain.counterfactuals(row_of())}
    assert texts["volatility"].startswith("Would wait (interval ")
    assert texts["volatility"].endswith("if volatility were 0.8 or lower (was 0.86).")
    closed = explain.counterfactuals(row_of(Conditions(is_open=False)))
    assert closed[0].text == "Would run now if the market were open." or closed[0].text.startswith(
        "Would wait"
    )


def test_a_row_with_nothing_but_an_action_still_reads() -> None:
    assert explain.sentence({"action": "run"}) == "Ran now."
    assert explain.sentence({"action": "wait"}) == "Waits."
    assert explain.sentence({"action": "skip"}).startswith("Skipped: a hard rule.")
    assert explain.factors({}) == []


@given(st.fixed_dictionaries(ANYTHING))
@examples(80)
def test_any_stored_decision_reads_as_text_without_holes(parts: dict[str, Any]) -> None:
    decision = Inputs(**parts, now=NOW).decide()
    row = json.loads(json.dumps(to_json(decision_to_row(decision, **parts, now=NOW)), allow_nan=False))
    with translation.override("en"), timezone.override("UTC"):
        texts = [explain.sentence(row)]
        texts += [item.label + item.value_text + item.effect_text for item in explain.factors(row)]
        texts += [item.text for item in explain.gates(row)]
    for text in texts:
        assert text
        assert not re.search(r"None|nan\b|%\(|\{|\}|  ", text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (0.5, "500 ms"), (45, "45 s"), (60, "1 min"), (89, "1 min 29 s"), (90, "1 min 30 s"), (120, "2 min"),
     (252.27, "4 min 12 s"), (3600, "1 h"), (5400, "1 h 30 min"), (43_200, "12 h"), (86_400, "1 d"), (172_800, "2 d")],
)  # fmt: skip
def test_durations_read_like_people_write_them(seconds: float, text: str) -> None:
    assert breaking(reading.duration(seconds)) == text
