"""Hand-made cases, one sentence each."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import pytest

from orchestrator.engine.cadence import InvalidBounds, is_hot
from orchestrator.engine.decide import decide
from orchestrator.engine.fold import fold_key
from orchestrator.engine.tuning import Tuning
from orchestrator.engine.types import (
    Action,
    Bounds,
    Cause,
    Conditions,
    Decision,
    Exposure,
    History,
    HostLoad,
    Subject,
    Switch,
)

from .strategies import NOW

SUBJECT = Subject(key="toy", bounds=Bounds(min_s=60, base_s=300, max_s=600), is_trading=True)
NOTHING, IDLE = Exposure(), HostLoad()
CALM = Conditions(volatility=0.4)  # at the reference: the base interval is right


def ago(seconds: float) -> History:
    return History(last_run_at=NOW - timedelta(seconds=seconds))


def ask(
    conditions: Conditions = CALM,
    history: History | None = None,
    exposure: Exposure = NOTHING,
    load: HostLoad = IDLE,
    subject: Subject = SUBJECT,
) -> Decision:
    return decide(subject, conditions, exposure, load, history or ago(120), NOW)


def term(decision: Decision, code: str) -> float:
    return {factor.code: factor.contribution for factor in decision.factors}[code]


def test_at_the_reference_volatility_the_interval_is_the_base() -> None:
    decision = ask()
    assert decision.interval_s == pytest.approx(300, rel=1e-12)
    assert decision.action is Action.WAIT
    assert decision.cause is None
    assert decision.next_run_at == NOW + timedelta(seconds=180)


def test_a_run_is_due_when_the_interval_has_passed_and_not_a_second_before() -> None:
    assert ask(history=ago(299)).action is Action.WAIT
    decision = ask(history=ago(300.001))
    assert (decision.action, decision.cause) == (Action.RUN, Cause.CADENCE)
    assert decision.next_run_at == NOW + timedelta(seconds=300)


def test_a_workflow_that_never_ran_runs() -> None:
    decision = ask(history=History())
    assert (decision.action, decision.cause) == (Action.RUN, Cause.FIRST)


def test_above_the_threshold_the_interval_is_the_minimum() -> None:
    assert ask(Conditions(volatility=0.80)).interval_s > 120
    assert ask(Conditions(volatility=0.81)).interval_s == pytest.approx(60, rel=1e-12)


def test_above_the_threshold_a_sleepy_session_stretches_at_most_to_twice_the_minimum() -> None:
    hot = Conditions(volatility=0.81, session_activity=0.0)
    learned = replace(ago(1), run_value=0.01, run_value_samples=10_000)
    assert ask(hot, learned).interval_s == pytest.approx(120, rel=1e-12)


def test_above_the_threshold_a_full_machine_may_stretch_further_unless_a_position_is_held() -> None:
    hot, full = Conditions(volatility=0.81, session_activity=0.0), HostLoad(cpu=1.0)
    assert ask(hot, load=full).interval_s > 120
    assert ask(hot, load=full, exposure=Exposure(open_positions=1)).interval_s <= 120


def test_once_hot_the_threshold_is_five_percent_lower() -> None:
    nearly = Conditions(volatility=0.78)
    cold = ask(nearly, replace(ago(1), interval_s=151.0))
    warm = ask(nearly, replace(ago(1), interval_s=60.0))
    told = ask(nearly, replace(ago(1), interval_s=151.0, was_hot=True))
    assert (is_hot(cold.factors), is_hot(warm.factors), is_hot(told.factors)) == (False, True, True)
    assert ask(Conditions(volatility=0.75), replace(ago(1), interval_s=60.0)).interval_s > 60


def test_unknown_volatility_is_neutral_and_says_so() -> None:
    factor = ask(Conditions(volatility=None)).factors[1]
    assert (factor.code, factor.value, factor.contribution) == ("volatility", None, 0.0)


def test_half_the_volatility_doubles_the_interval() -> None:
    assert ask(Conditions(volatility=0.2)).interval_s == pytest.approx(600, rel=1e-9)
    assert term(ask(Conditions(volatility=0.2)), "volatility") == pytest.approx(math.log(2), rel=1e-12)


def test_the_interval_in_force_stays_within_the_dead_band_and_moves_beyond_it() -> None:
    kept = ask(history=replace(ago(1), interval_s=380.0))
    assert kept.interval_s == 380.0
    assert term(kept, "dead_band") == pytest.approx(math.log(380 / 300), rel=1e-9)
    assert ask(history=replace(ago(1), interval_s=500.0)).interval_s == pytest.approx(300, rel=1e-12)


def test_a_dead_band_keeps_no_workflow_from_its_minimum() -> None:
    assert ask(Conditions(volatility=3.0), replace(ago(1), interval_s=70.0)).interval_s == pytest.approx(60)


def test_a_full_machine_stretches_a_workflow_by_its_weight() -> None:
    subject = replace(SUBJECT, is_trading=False, bounds=Bounds(min_s=60, base_s=300, max_s=6000))
    assert ask(load=HostLoad(cpu=0.95), subject=subject).interval_s == pytest.approx(1200, rel=1e-9)
    assert ask(load=HostLoad(ram=0.95), subject=subject).interval_s == pytest.approx(1200, rel=1e-9)
    assert ask(load=HostLoad(cpu=0.60), subject=subject).interval_s == pytest.approx(300, rel=1e-9)
    light = replace(subject, load_weight=0.5)
    assert ask(load=HostLoad(cpu=0.95), subject=light).interval_s == pytest.approx(600, rel=1e-9)


def test_failures_double_the_interval_and_the_floor_of_triggers() -> None:
    failing = replace(ago(70), consecutive_failures=1)
    moved = replace(CALM, move_sigmas=3.0)
    assert term(ask(history=failing), "failures") == pytest.approx(math.log(2))
    assert ask(moved, ago(70)).action is Action.RUN
    assert ask(moved, failing).action is Action.WAIT
    assert ask(moved, replace(failing, last_run_at=NOW - timedelta(seconds=121))).cause is Cause.PRICE_BAND


def test_the_run_after_a_failure_is_called_a_retry() -> None:
    assert ask(history=replace(ago(600), consecutive_failures=1)).cause is Cause.RETRY


@pytest.mark.parametrize(
    ("conditions", "exposure", "cause"),
    [
        (replace(CALM, move_sigmas=2.0), Exposure(), Cause.PRICE_BAND),
        (replace(CALM, move_sigmas=1.99), Exposure(), None),
        (replace(CALM, last_edge_at=NOW - timedelta(seconds=30)), Exposure(), Cause.SESSION_EDGE),
        (replace(CALM, last_edge_at=NOW - timedelta(seconds=80)), Exposure(), None),
        (replace(CALM, last_edge_at=NOW + timedelta(seconds=1)), Exposure(), None),
        (CALM, Exposure(open_positions=1, stop_distance_sigmas=0.9), Cause.STOP_NEAR),
        (CALM, Exposure(open_positions=1, stop_distance_sigmas=1.1), None),
        (CALM, Exposure(open_positions=0, stop_distance_sigmas=0.9), None),
    ],
)
def test_triggers_bring_a_run_forward(
    conditions: Conditions, exposure: Exposure, cause: Cause | None
) -> None:
    decision = ask(conditions, ago(70), exposure)
    assert decision.cause is cause
    assert decision.action is (Action.WAIT if cause is None else Action.RUN)


def test_a_request_runs_at_once_and_only_once() -> None:
    asked = replace(ago(5), manual_requested_at=NOW - timedelta(seconds=1))
    assert ask(history=asked).cause is Cause.MANUAL
    assert ask(history=replace(asked, manual_requested_at=NOW - timedelta(seconds=6))).action is Action.WAIT


def test_a_request_does_not_open_a_closed_market() -> None:
    closed = Conditions(is_open=False, closed_reason="weekend", next_open_at=NOW + timedelta(hours=3))
    decision = ask(closed, replace(ago(5), manual_requested_at=NOW))
    assert decision.action is Action.SKIP
    assert decision.next_run_at == NOW + timedelta(hours=3)
    assert decision.gates[0].value == "weekend"


def test_old_data_is_not_held_against_a_closed_market() -> None:
    closed = Conditions(is_open=False, data_age_s=1e6, data_age_limit_s=60)
    assert [gate.code for gate in ask(closed).gates] == ["market_closed"]


def test_the_end_of_two_gates_is_the_later_and_unknown_when_one_is() -> None:
    closed = Conditions(is_open=False, next_open_at=NOW + timedelta(hours=1))
    held = replace(ago(5), quarantined_until=NOW + timedelta(hours=2))
    assert ask(closed, held).next_run_at == NOW + timedelta(hours=2)
    assert ask(replace(closed, venue_up=False), held).next_run_at is None


def test_paused_entries_still_run_and_a_position_of_the_switch_nobody_knows_does_not() -> None:
    due = ago(1000)
    assert ask(history=due, subject=replace(SUBJECT, switch=Switch.PAUSED)).action is Action.RUN
    unknown = replace(SUBJECT, switch="melting")  # type: ignore[arg-type]
    assert ask(history=due, subject=unknown).action is Action.SKIP


def test_priority_rises_with_what_is_at_stake() -> None:
    research = replace(SUBJECT, is_trading=False)
    assert ask().priority == 2
    assert ask(exposure=Exposure(open_positions=1)).priority == 1
    assert ask(Conditions(volatility=0.9)).priority == 1
    assert ask(subject=research).priority == 3
    assert ask(subject=replace(SUBJECT, priority=1)).priority == 1


def test_a_clock_set_back_by_more_than_the_maximum_does_not_stop_a_workflow() -> None:
    assert ask(history=ago(-601)).action is Action.RUN
    assert ask(history=ago(-1)).action is Action.WAIT


@pytest.mark.parametrize(
    "bounds", [(0, 300, 600), (60, 30, 600), (60, 300, 200), (-1, 1, 1), (1, 1, math.inf)]
)
def test_impossible_bounds_are_refused(bounds: tuple[float, float, float]) -> None:
    low, base, high = bounds
    with pytest.raises(InvalidBounds):
        ask(subject=replace(SUBJECT, bounds=Bounds(min_s=low, base_s=base, max_s=high)))


def test_a_step_wider_than_the_dead_band_is_refused() -> None:
    with pytest.raises(ValueError, match="dead band"):
        Tuning(step=0.8, dead_band=0.35)


def test_waiting_decisions_fold_until_the_interval_or_the_last_run_changes() -> None:
    one = ask()
    assert fold_key(one) == fold_key(ask(replace(CALM, trend=0.01)))
    assert fold_key(one) != fold_key(ask(Conditions(volatility=0.9)))
    assert fold_key(one) != fold_key(ask(history=ago(130)))


def test_skips_fold_while_the_same_gates_hold_whatever_the_measured_values() -> None:
    late = Conditions(data_age_s=61, data_age_limit_s=60)
    assert fold_key(ask(late)) == fold_key(ask(replace(late, data_age_s=62, volatility=2.0)))
    closed = Conditions(is_open=False, closed_reason="weekend")
    assert fold_key(ask(closed)) != fold_key(ask(replace(closed, closed_reason="holiday")))


def test_runs_never_fold() -> None:
    due = ago(1000)
    later = decide(SUBJECT, CALM, Exposure(), HostLoad(), due, NOW + timedelta(seconds=1))
    assert fold_key(ask(history=due)) != fold_key(later)
