"""Learned value of a run, and the shadow price."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.engine.capacity import Demand, shadow_price, utilisation
from orchestrator.engine.learning import (
    MAX_STEP,
    VALUE_CEILING,
    VALUE_FLOOR,
    Estimate,
    Observation,
    Prior,
    estimate,
    pooled_prior,
    should_roll_back,
    step,
)
from orchestrator.engine.tuning import DEFAULT

from .strategies import examples, wild


def runs(count: int, changed: int, **extra: float) -> list[Observation]:
    return [Observation(changed=index < changed, watched_s=300.0, **extra) for index in range(count)]


def test_without_runs_the_value_is_the_prior() -> None:
    answer = estimate([], base_s=300)
    assert (answer.value, answer.samples) == (1.0, 0)
    assert answer.low < 1.0 < answer.high


def test_a_hand_computed_posterior() -> None:
    # shape 0.3 * 10 + 40 = 43, scale 10 + 50 = 60; 43 / 60 / 0.3 = 2.388...
    assert estimate(runs(50, 40), base_s=300).value == pytest.approx(43 / 60 / 0.3)


def test_runs_that_change_nothing_lower_the_value_down_to_the_floor_and_no_further() -> None:
    assert 0.5 < estimate(runs(5, 0), base_s=300).value < 1.0
    assert estimate(runs(5000, 0), base_s=300).value == VALUE_FLOOR


def test_old_evidence_fades_back_to_the_prior() -> None:
    fresh = estimate(runs(50, 50), base_s=300).value
    old = estimate(runs(50, 50, age_s=20 * 14 * 86_400.0), base_s=300).value
    assert fresh > 2.0
    assert old == pytest.approx(1.0, abs=1e-3)


def test_a_change_that_costs_more_is_worth_less() -> None:
    cheap = estimate(runs(50, 25, cost_s=1.0), base_s=300, typical_cost_s=1.0)
    dear = estimate(runs(50, 25, cost_s=3.0), base_s=300, typical_cost_s=1.0)
    assert dear.value < cheap.value


def test_garbage_is_refused_and_counted() -> None:
    bad = [
        Observation(changed=True, watched_s=math.nan),
        Observation(changed=True, watched_s=math.inf),
        Observation(changed=True, watched_s=-1),
        Observation(changed=True, watched_s=0),
        Observation(changed=True, watched_s=300, age_s=-5),
        Observation(changed=True, watched_s=300, cost_s=math.nan),
    ]
    answer = estimate(bad, base_s=300)
    assert (answer.value, answer.samples, answer.refused) == (1.0, 0, 6)


@pytest.mark.parametrize("base_s", [0, -1, math.nan, math.inf])
def test_a_base_interval_that_is_no_number_is_refused(base_s: float) -> None:
    with pytest.raises(ValueError, match="base_s"):
        estimate([], base_s=base_s)


@given(
    st.lists(
        st.builds(
            Observation,
            changed=st.booleans(),
            watched_s=wild(0, 1e6),
            cost_s=st.none() | wild(0, 100),
            age_s=wild(0, 1e7),
        ),
        max_size=30,
    ),
    wild(0, 10),
)
@examples(200)
def test_any_history_moves_the_value_by_a_bounded_step_within_floor_and_ceiling(
    observations: list[Observation], current: float
) -> None:
    target = estimate(observations, base_s=300, typical_cost_s=2.0)
    update = step(current, target)
    assert VALUE_FLOOR <= target.value <= VALUE_CEILING
    assert VALUE_FLOOR <= update.after <= VALUE_CEILING
    assert 1 / MAX_STEP - 1e-9 <= update.after / update.before <= MAX_STEP + 1e-9


def test_steps_reach_the_estimate_and_stay() -> None:
    target, value = estimate(runs(500, 400), base_s=300), 1.0
    for _ in range(10):
        value = step(value, target).after
    assert value == target.value
    assert not step(value, target).is_limited


def test_the_prior_of_an_asset_type_lies_between_the_general_prior_and_its_workflows() -> None:
    lively = [estimate(runs(50, 45), base_s=300) for _ in range(3)]
    pooled = pooled_prior(lively)
    assert Prior().rate < pooled.rate < lively[0].rate
    assert pooled_prior([]) == Prior()


def test_an_update_is_rolled_back_only_when_the_fall_is_certain() -> None:
    many, few = estimate(runs(200, 150), base_s=300), estimate(runs(200, 20), base_s=300)
    slightly = estimate(runs(200, 140), base_s=300)
    assert should_roll_back(many, few)
    assert not should_roll_back(many, slightly)
    assert not should_roll_back(few, many)


def test_the_interval_of_an_estimate_is_near_the_gamma_quantiles() -> None:
    # Gamma(43, 60): 5 % and 95 % quantiles by the series of the incomplete gamma function.
    answer: Estimate = estimate(runs(50, 40), base_s=300)
    assert answer.low * 0.3 == pytest.approx(0.54686, rel=0.002)
    assert answer.high * 0.3 == pytest.approx(0.90540, rel=0.002)


def demands(count: int, **extra: float) -> list[Demand]:
    fields = {"interval_s": 60.0, "max_s": 600.0, "cost_s": 3.0} | extra
    return [Demand(**fields) for _ in range(count)]


def test_what_fits_costs_nothing() -> None:
    assert shadow_price(demands(10), workers=1) == 0.0  # 10 * 3 / 60 = 0.5 of 0.7


def test_the_price_fills_the_capacity_exactly() -> None:
    many = demands(21)  # 1.05 of 0.7: everything must take half as long again
    price = shadow_price(many, workers=1)
    assert price == pytest.approx(math.log(1.5), abs=1e-6)
    assert utilisation(many, price) == pytest.approx(0.7, abs=1e-6)


def test_what_must_not_wait_is_paid_for_by_the_rest() -> None:
    mixed = demands(8, weight=0.0) + demands(20)  # 0.4 fixed, 1.0 must fit into 0.3
    price = shadow_price(mixed, workers=1)
    assert utilisation(mixed, price) == pytest.approx(0.7, abs=1e-6)
    assert price == pytest.approx(math.log(1 / 0.3), abs=1e-6)


def test_a_demand_that_can_never_fit_costs_the_cap() -> None:
    assert shadow_price(demands(1000), workers=1) == DEFAULT.load_cap


@given(
    st.lists(
        st.builds(
            Demand, interval_s=wild(0, 1e5), max_s=wild(0, 1e6), cost_s=wild(0, 100), weight=wild(0, 3)
        ),
        max_size=20,
    ),
    st.integers(0, 8),
)
@examples(150)
def test_the_price_is_bounded_and_dearer_is_never_busier(items: list[Demand], workers: int) -> None:
    price = shadow_price(items, workers=workers)
    assert 0.0 <= price <= DEFAULT.load_cap
    assert utilisation(items, price) <= utilisation(items, 0.0)
