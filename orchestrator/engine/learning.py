"""The learned value of a run: how often did a run of this workflow change something, per time watched and cost?

Changes are taken as events of a Poisson process whose rate has a Gamma prior. Old evidence fades with a half-life,
so the prior comes back when a workflow stops being observed. The result is relative: 1 = worth what the prior says.
Pure. It gives one number that moves intervals within their bounds; no limit, size or stop is ever touched.

Levels: prior -> asset type (`pooled_prior` over its workflows) -> workflow. Passing only the runs of one regime
learns that regime.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

VALUE_FLOOR: Final = (
    0.25  # exploration: a useless workflow is still run at least half as often as the prior says
)
VALUE_CEILING: Final = 4.0
MAX_STEP: Final = 1.25  # one update changes the value by at most this factor


@dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """One finished run."""

    changed: bool  # a target, stop, forecast or position moved
    watched_s: float  # since the run before: the time in which the change may have come up
    cost_s: float | None = None  # CPU seconds; None: an ordinary run
    age_s: float = 0.0  # how long ago


@dataclass(frozen=True, kw_only=True, slots=True)
class Prior:
    """Gamma prior of the rate of changes per base interval watched. `weight` is in base intervals of evidence."""

    rate: float = 0.3
    weight: float = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """`value` is relative to the prior and clamped; `low`..`high` is its 90 % interval before the clamp."""

    value: float
    low: float
    high: float
    rate: float  # changes per base interval
    samples: int  # runs that counted
    effective: float  # base intervals of evidence after discounting
    refused: int  # observations that were no numbers


@dataclass(frozen=True, kw_only=True, slots=True)
class Update:
    """One bounded move of the value in force. `before` is kept for a rollback."""

    before: float
    after: float
    is_limited: bool  # the estimate lies beyond the step


def estimate(
    observations: Iterable[Observation],
    *,
    base_s: float,
    prior: Prior | None = None,
    typical_cost_s: float | None = None,
    half_life_s: float = 14 * 86_400.0,
) -> Estimate:
    """Posterior of a workflow. `typical_cost_s` is the cost of an ordinary run (of the asset type), > 0 or None.

    Raises ValueError when `base_s` or `half_life_s` is not a positive number.
    """
    prior = prior or Prior()
    for name, number in (("base_s", base_s), ("half_life_s", half_life_s)):
        if not 0.0 < number < math.inf:
            raise ValueError(f"{name} must be a positive number, was {number}")
    events = watched = 0.0
    samples = refused = 0
    for item in observations:
        exposure = _exposure(item, base_s, typical_cost_s)
        if exposure is None:
            refused += 1
            continue
        fade = 0.5 ** (item.age_s / half_life_s)
        events += fade * item.changed
        watched += fade * exposure
        samples += 1
    shape = prior.rate * prior.weight + events
    scale = prior.weight + watched
    rate = shape / scale
    low, high = _interval(shape, scale)
    return Estimate(
        value=_clamp(rate / prior.rate),
        low=low / prior.rate,
        high=high / prior.rate,
        rate=rate,
        samples=samples,
        effective=watched,
        refused=refused,
    )


def _exposure(item: Observation, base_s: float, typical_cost_s: float | None) -> float | None:
    """Base intervals watched, made heavier by a dear run. None refuses an observation that is no number.

    Within 0.1..10: one run after a week of standstill must not outweigh a month of ordinary ones.
    """
    cost = item.cost_s
    numbers = (item.watched_s, item.age_s) if cost is None else (item.watched_s, item.age_s, cost)
    if not all(math.isfinite(number) and number >= 0.0 for number in numbers) or item.watched_s == 0.0:
        return None
    exposure = min(max(item.watched_s / base_s, 0.1), 10.0)
    if cost is not None and typical_cost_s is not None and 0.0 < typical_cost_s < math.inf:
        exposure *= min(max(cost / typical_cost_s, 0.25), 4.0)
    return exposure


def _interval(shape: float, scale: float) -> tuple[float, float]:
    """5 % and 95 % quantiles of Gamma(shape, rate=scale) by Wilson-Hilferty (within 2 % for shapes above 1)."""

    def quantile(z: float) -> float:
        root = 1.0 - 1.0 / (9.0 * shape) + z / (3.0 * math.sqrt(shape))
        return shape * max(root, 0.0) ** 3 / scale

    return quantile(-1.6449), quantile(1.6449)


def pooled_prior(estimates: Sequence[Estimate], *, prior: Prior | None = None) -> Prior:
    """The prior for one workflow from the estimates of all workflows of its asset type, itself shrunk to `prior`."""
    prior = prior or Prior()
    total = sum(item.effective for item in estimates if math.isfinite(item.effective))
    events = sum(
        item.rate * item.effective for item in estimates if math.isfinite(item.rate * item.effective)
    )
    if total <= 0.0:
        return prior
    rate = (prior.rate * prior.weight + events) / (prior.weight + total)
    return Prior(rate=rate, weight=prior.weight)


def step(current: float, target: Estimate, *, max_step: float = MAX_STEP) -> Update:
    """Move the value in force towards the estimate, at most by `max_step`. A current value that is no number is 1."""
    before = _clamp(current) if math.isfinite(current) and current > 0.0 else 1.0
    wanted = target.value if math.isfinite(target.value) else before
    after = _clamp(min(max(wanted, before / max_step), before * max_step))
    return Update(before=before, after=after, is_limited=after != _clamp(wanted))


def should_roll_back(before: Estimate, after: Estimate) -> bool:
    """Did the rate of changes caught fall for certain since an update? The 90 % intervals no longer touch.

    `before` and `after` are estimates, with the same prior, from the runs on either side of the update.
    """
    return after.high < before.low


def _clamp(value: float) -> float:
    return min(max(value, VALUE_FLOOR), VALUE_CEILING)
