"""A counterfactual is a promise: with this change the answer is that."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.engine.counterfactuals import Inputs, changed, counterfactuals
from orchestrator.engine.types import (
    Action,
    Bounds,
    Conditions,
    Counterfactual,
    Exposure,
    History,
    HostLoad,
    Subject,
    Switch,
)

from .strategies import NOW, examples
from .test_properties import ANYTHING, SANE

SUBJECT = Subject(key="toy", bounds=Bounds(min_s=60, base_s=300, max_s=600), is_trading=True)


IDLE = HostLoad()


def found(inputs: Inputs) -> dict[str, Counterfactual]:
    return {item.code: item for item in counterfactuals(*inputs, inputs.decide())}


def inputs_of(conditions: Conditions, seconds_ago: float, load: HostLoad = IDLE) -> Inputs:
    history = History(last_run_at=NOW - timedelta(seconds=seconds_ago))
    return Inputs(SUBJECT, conditions, Exposure(), load, history, NOW)


def verify(parts: dict[str, Any]) -> int:
    inputs = Inputs(**parts, now=NOW)
    decision = inputs.decide()
    items = counterfactuals(*inputs, decision)
    assert len({item.code for item in items}) == len(items)
    for item in items:
        other = changed(inputs, item.code, item.needed).decide()
        assert other.action is item.action
        assert other.interval_s == item.interval_s
        assert other.action is not decision.action or other.log_interval != decision.log_interval
    return len(items)


@given(st.fixed_dictionaries(SANE))
@examples(60)
def test_every_counterfactual_holds_when_it_is_tried(parts: dict[str, Any]) -> None:
    verify(parts)


@given(st.fixed_dictionaries(ANYTHING))
@examples(40)
def test_every_counterfactual_of_garbage_holds_too(parts: dict[str, Any]) -> None:
    verify(parts)


@given(st.fixed_dictionaries(SANE))
@examples(40)
def test_half_the_change_of_volatility_is_not_enough(parts: dict[str, Any]) -> None:
    """Smallest: half way the answer is still the same (in volatility both answers are monotone)."""
    inputs = Inputs(**parts, now=NOW)
    decision = inputs.decide()
    item = next((i for i in counterfactuals(*inputs, decision) if i.code == "volatility"), None)
    if item is None or item.value is None or item.needed is None:
        return
    half = changed(inputs, "volatility", (item.value + item.needed) / 2).decide()
    if item.action is not decision.action:
        assert half.action is decision.action
    else:
        assert math.isclose(half.log_interval, decision.log_interval, abs_tol=1e-9)


def test_a_hot_run_would_have_waited_below_the_threshold() -> None:
    item = found(inputs_of(Conditions(volatility=0.86), 61))["volatility"]
    assert item.action is Action.WAIT
    assert item.needed is not None
    assert 0.79 <= item.needed <= 0.80


def test_a_wait_names_the_volatility_and_the_move_that_would_have_run() -> None:
    items = found(inputs_of(Conditions(volatility=0.4, move_sigmas=0.5), 100))
    assert items["volatility"].action is Action.RUN
    assert items["volatility"].needed is not None
    assert 0.80 < items["volatility"].needed <= 0.81
    assert items["move"].action is Action.RUN
    assert items["move"].needed == 2.0 or math.isclose(items["move"].needed or 0, 2.0, rel_tol=0.01)


def test_a_skip_names_the_gate_that_alone_holds_it() -> None:
    inputs = inputs_of(Conditions(is_open=False, closed_reason="weekend"), 1000)
    assert found(inputs)["market_closed"].action is Action.RUN
    stopped = inputs._replace(subject=replace(SUBJECT, switch=Switch.STOPPED))
    assert "market_closed" not in found(stopped)  # two gates: opening one changes nothing


def test_stale_data_names_the_age_that_would_do() -> None:
    item = found(inputs_of(Conditions(data_age_s=200.0, data_age_limit_s=180.0), 1000))["data_age"]
    assert item.needed is not None
    assert 178 <= item.needed <= 180
    assert item.action is Action.RUN


def test_a_run_names_the_machine_load_that_would_have_delayed_it() -> None:
    item = found(inputs_of(Conditions(volatility=0.4), 301, HostLoad(cpu=0.3)))["cpu"]
    assert item.action is Action.WAIT
    assert item.needed is not None
    assert item.needed > 0.6


def test_whole_inputs_need_whole_numbers() -> None:
    item = found(inputs_of(Conditions(volatility=0.4), 301, HostLoad(queue_depth=1)))["queue"]
    assert item.needed == int(item.needed or 0.5)
