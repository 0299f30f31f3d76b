"""What must hold whatever the inputs are. Each of these was seen to fail on a broken engine."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import assume, given, note
from hypothesis import strategies as st

from orchestrator.engine.cadence import is_hot
from orchestrator.engine.decide import decide
from orchestrator.engine.fold import MAX_LENGTH, fold_key
from orchestrator.engine.types import (
    Action,
    Bounds,
    Cause,
    Conditions,
    Decision,
    Exposure,
    Gate,
    History,
    HostLoad,
    Subject,
    Switch,
)

from .strategies import (
    NOW,
    any_conditions,
    around_now,
    examples,
    exposures,
    histories,
    loads,
    number,
    optional,
    past,
    sane_conditions,
    subjects,
    wild,
)

ANYTHING = {
    "subject": subjects(switch=st.sampled_from(Switch), load_weight=wild(0, 5)),
    "conditions": any_conditions(),
    "exposure": exposures(wild),
    "load": loads(wild),
    "history": histories(
        wild,
        manual_requested_at=optional(around_now(10_000)),
        quarantined_until=optional(around_now(10_000)),
        open_run=st.booleans(),
    ),
}
SANE = {
    "subject": subjects(),
    "conditions": sane_conditions(),
    "exposure": exposures(),
    "load": loads(),
    "history": histories(last_run_at=past()),
}


def ask(given_: dict[str, Any], **changes: Any) -> Decision:
    parts = given_ | changes
    return decide(
        parts["subject"],
        parts["conditions"],
        parts["exposure"],
        parts["load"],
        parts["history"],
        parts.get("now", NOW),
    )


@given(st.fixed_dictionaries(ANYTHING))
@examples(200)
def test_contributions_sum_to_the_log_interval_and_it_is_the_interval(parts: dict[str, Any]) -> None:
    decision = ask(parts)
    assert abs(math.fsum(f.contribution for f in decision.factors) - decision.log_interval) <= 1e-9
    assert abs(math.log(decision.interval_s) - decision.log_interval) <= 1e-9


@given(st.fixed_dictionaries(ANYTHING))
@examples(200)
def test_interval_is_within_bounds_whatever_the_inputs(parts: dict[str, Any]) -> None:
    decision = ask(parts)
    bounds = parts["subject"].bounds
    assert bounds.min_s <= decision.interval_s <= bounds.max_s
    assert decision.priority in (1, 2, 3)
    assert len(fold_key(decision)) <= MAX_LENGTH
    if decision.action is Action.WAIT:
        assert decision.next_run_at is not None
        assert decision.next_run_at >= NOW


UNGATED_GARBAGE = ANYTHING | {
    "subject": subjects(load_weight=wild(0, 5)),
    "conditions": any_conditions(is_open=st.just(True), venue_up=st.just(True), data_age_limit_s=st.none()),
    "history": histories(wild),
}


@given(st.fixed_dictionaries(UNGATED_GARBAGE))
@examples(200)
def test_a_run_happens_once_the_maximum_has_passed_unless_a_gate_holds(parts: dict[str, Any]) -> None:
    history = replace(
        parts["history"], last_run_at=NOW - timedelta(seconds=parts["subject"].bounds.max_s + 1e-3)
    )
    decision = ask(parts, history=history)
    assert {gate.code for gate in decision.gates} <= {"quota"}
    assert decision.action is (Action.SKIP if decision.gates else Action.RUN)


@given(st.fixed_dictionaries(SANE), number(0, 5), number(0, 5))
@examples(200)
def test_higher_volatility_never_gives_a_longer_interval(
    parts: dict[str, Any], one: float, two: float
) -> None:
    calm, lively = sorted((one, two))
    longer = ask(parts, conditions=replace(parts["conditions"], volatility=calm))
    shorter = ask(parts, conditions=replace(parts["conditions"], volatility=lively))
    assert shorter.interval_s <= longer.interval_s * (1 + 1e-12)


@given(st.fixed_dictionaries(SANE), exposures())
@examples(200)
def test_exposure_never_lengthens_the_interval(parts: dict[str, Any], exposure: Exposure) -> None:
    with_it, without = ask(parts, exposure=exposure), ask(parts, exposure=Exposure())
    assert with_it.interval_s <= without.interval_s * (1 + 1e-12)


@given(st.fixed_dictionaries(SANE), st.integers(1, 5), loads())
@examples(200)
def test_load_never_delays_a_trading_workflow_that_holds_a_position(
    parts: dict[str, Any], positions: int, load: HostLoad
) -> None:
    parts |= {
        "subject": replace(parts["subject"], is_trading=True),
        "exposure": replace(parts["exposure"], open_positions=positions),
    }
    assert ask(parts, load=load).interval_s == ask(parts, load=HostLoad()).interval_s


GATES: tuple[tuple[str, dict[str, dict[str, Any]]], ...] = (
    ("switch", {"subject": {"switch": Switch.DRAINING}}),
    ("switch", {"subject": {"switch": Switch.STOPPED}}),
    ("quarantined", {"history": {"quarantined_until": NOW + timedelta(seconds=1)}}),
    ("open_run", {"history": {"open_run": True}}),
    ("market_closed", {"conditions": {"is_open": False}}),
    ("data_missing", {"conditions": {"data_age_s": None}}),
    ("data_missing", {"conditions": {"data_age_s": float("nan")}}),
    ("data_stale", {"conditions": {"data_age_s": 180.5}}),
    ("data_stale", {"conditions": {"data_age_limit_s": float("nan")}}),
    ("venue_down", {"conditions": {"venue_up": False}}),
    ("quota", {"conditions": {"quota_used": 1.0}}),
)


@given(
    st.fixed_dictionaries(SANE | {"history": histories(manual_requested_at=optional(past(5)))}),
    st.sampled_from(GATES),
)
@examples(200)
def test_a_gate_always_ends_in_a_skip_and_its_absence_never_does(
    parts: dict[str, Any], gate: tuple[str, dict[str, dict[str, Any]]]
) -> None:
    assert ask(parts).action is not Action.SKIP
    code, changes = gate
    decision = ask(parts, **{place: replace(parts[place], **fields) for place, fields in changes.items()})
    assert decision.action is Action.SKIP
    assert decision.cause is None
    assert [held.code for held in decision.gates] == [code]
    assert all(isinstance(held, Gate) and held.holds for held in decision.gates)


@given(st.fixed_dictionaries(SANE), number(0, 0.999))
@examples(200)
def test_a_trigger_never_runs_before_the_minimum_interval(parts: dict[str, Any], share: float) -> None:
    last_run_at = NOW - timedelta(seconds=parts["subject"].bounds.min_s * share)
    conditions = replace(parts["conditions"], move_sigmas=4.0, last_edge_at=NOW)
    exposure = Exposure(open_positions=1, stop_distance_sigmas=0.0)
    history = replace(parts["history"], last_run_at=last_run_at)
    decision = ask(parts, conditions=conditions, exposure=exposure, history=history)
    assert decision.action is Action.WAIT
    assert decision.next_run_at is not None
    assert (decision.next_run_at - last_run_at).total_seconds() >= parts["subject"].bounds.min_s - 1e-5
    asked = ask(parts, history=replace(history, manual_requested_at=NOW + timedelta(microseconds=1)))
    assert (asked.action, asked.cause) == (Action.RUN, Cause.MANUAL)


JITTER = st.lists(st.lists(number(0.98, 1.02), min_size=6, max_size=6), min_size=2, max_size=12)


@given(
    conditions=sane_conditions(volatility=number(0.01, 3)),
    near_threshold=optional(number(0.95, 1.05)),
    positions=st.integers(0, 1),
    stop=optional(number(0, 6)),
    load=loads(),
    weight=number(0, 1),
    bounds=st.sampled_from(
        [Bounds(min_s=60, base_s=300, max_s=600), Bounds(min_s=3600, base_s=14400, max_s=43200)]
    ),
    before=number(1, 100_000),
    noise=JITTER,
)
@examples(200)
def test_inputs_that_jitter_by_two_percent_move_the_interval_at_most_once(
    conditions: Conditions,
    near_threshold: float | None,
    positions: int,
    stop: float | None,
    load: HostLoad,
    weight: float,
    bounds: Bounds,
    before: float,
    noise: list[list[float]],
) -> None:
    load = replace(
        load, queue_depth=0, queue_oldest_s=0.0, shadow_price=0.0
    )  # whole numbers do not jitter by 2 %
    if near_threshold is not None:
        conditions = replace(conditions, volatility=conditions.volatility_threshold * near_threshold)
    subject = Subject(key="toy", bounds=bounds, is_trading=True, load_weight=weight)
    settled = decide(
        subject,
        conditions,
        Exposure(open_positions=positions, stop_distance_sigmas=stop),
        load,
        History(interval_s=before),
        NOW,
    )
    interval, changes, hot = settled.interval_s, 0, is_hot(settled.factors)
    for vol, activity, trend, cpu, ram, quota in noise:
        decision = decide(
            subject,
            replace(
                conditions,
                volatility=conditions.volatility * vol,
                session_activity=conditions.session_activity * activity,
                trend=max(-1.0, min(1.0, conditions.trend * trend)),
                quota_used=min(conditions.quota_used * quota, 0.99),
            ),
            Exposure(open_positions=positions, stop_distance_sigmas=stop),
            replace(load, cpu=min(load.cpu * cpu, 1.0), ram=min(load.ram * ram, 1.0)),
            History(last_run_at=NOW, interval_s=interval, was_hot=hot),
            NOW,
        )
        note(f"{interval} -> {decision.interval_s} {decision.factors}")
        changes += decision.interval_s != interval
        interval, hot = decision.interval_s, is_hot(decision.factors)
    assert changes <= 1


@given(st.fixed_dictionaries(SANE), st.integers(0, 1_000_000))
@examples(200)
def test_however_late_a_run_is_it_is_one_run_now(parts: dict[str, Any], late_s: int) -> None:
    last_run_at = NOW - timedelta(seconds=parts["subject"].bounds.max_s + late_s + 1)
    decision = ask(parts, history=replace(parts["history"], last_run_at=last_run_at))
    assert decision.action is Action.RUN
    assert decision.next_run_at == NOW + timedelta(seconds=decision.interval_s)


@given(st.fixed_dictionaries(ANYTHING))
@examples(100)
def test_equal_inputs_give_equal_decisions(parts: dict[str, Any]) -> None:
    assume(ask(parts).factors == ask(parts).factors)  # NaN is not equal to itself
    assert ask(parts) == ask(parts)


def test_a_machine_and_a_market_that_swing_by_two_percent_do_not_drag_the_interval_along() -> None:
    subject = Subject(key="toy", bounds=Bounds(min_s=60, base_s=300, max_s=1200), is_trading=True)
    for centre in (0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.76, 0.79, 0.80, 0.81, 0.9):
        for cpu in (0.62, 0.70, 0.80, 0.90, 0.94):
            interval, hot, changes = None, None, 0
            for tick in range(12):
                swing = 1.02 if tick % 2 else 0.98
                decision = decide(
                    subject,
                    Conditions(volatility=centre * swing),
                    Exposure(),
                    HostLoad(cpu=cpu / swing),
                    History(last_run_at=NOW, interval_s=interval, was_hot=hot),
                    NOW,
                )
                changes += interval is not None and decision.interval_s != interval
                interval, hot = decision.interval_s, is_hot(decision.factors)
            assert changes <= 1, (centre, cpu)
