"""The interval as a sum of logs, so that its explanation adds up.

log interval = base + volatility + trend + session + load + exposure + failures + learned   (what the inputs ask for)
             + bounds      (what it takes to stay inside the limits)
             + dead_band   (what it takes to land on a step, or to keep the interval in force)

Every term is bounded whatever the inputs are, and unknown or non-finite inputs are neutral.

Hot = volatility above its threshold: the volatility term alone leads to the minimum, and session, trend and learning
stretch it at most `hot_ceiling`-fold; only load and failures reach beyond. Once hot, the threshold is a little lower.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, exp, inf, log
from typing import Final, NamedTuple

from orchestrator.engine.pressure import pressure
from orchestrator.engine.tuning import Tuning
from orchestrator.engine.types import Conditions, Exposure, Factor, History, HostLoad, Subject

# Codes in the order of the sum, as decisions are stored.
FACTORS: Final = (
    "base", "volatility", "trend", "session", "load", "exposure", "failures", "learned", "bounds", "dead_band",
)  # fmt: skip


class InvalidBounds(ValueError):
    """The workflow's own cadence bounds are not 0 < min <= base <= max: correct its configuration."""


class Cadence(NamedTuple):
    """`interval_s` is within the bounds; `before_s` is the interval in force (None when there is none)."""

    interval_s: float
    log_interval: float
    before_s: float | None
    is_hot: bool  # volatility is above its threshold
    trigger_floor_s: float  # no trigger but a person's runs earlier than this after the last run
    factors: tuple[Factor, ...]


def is_hot(factors: Sequence[Factor]) -> bool:
    """Was volatility above its threshold in this decision? The answer is the next decision's `History.was_hot`."""
    for code, value, threshold, _ in factors:
        if code == "volatility":
            return value is not None and threshold is not None and value > threshold
    return False


def cadence(
    subject: Subject,
    conditions: Conditions,
    exposure: Exposure,
    load: HostLoad,
    history: History,
    tuning: Tuning,
) -> Cadence:
    """The interval these inputs ask for. Raises InvalidBounds."""
    bounds = subject.bounds
    low_s, base_s, high_s = bounds.min_s, bounds.base_s, bounds.max_s
    if not 0.0 < low_s <= base_s <= high_s < inf:
        raise InvalidBounds(f"Bounds must satisfy 0 < min <= base <= max, were {bounds}")
    log_low, log_base, log_top = log(low_s), log(base_s), log(high_s)
    before_s = history.interval_s
    if before_s is not None and not 0.0 < before_s < inf:
        before_s = None
    was_hot = history.was_hot
    if was_hot is None:
        was_hot = before_s is not None and before_s <= low_s * tuning.hot_ceiling

    loaded = _load(subject, conditions, exposure, load, tuning)
    failed = _failures(history.consecutive_failures, tuning)
    heat, hot = _volatility(conditions, was_hot, log_low - log_base, tuning)
    if hot:
        log_top = min(log_low + _hot_room(loaded[3] + failed[3], tuning), log_top)
    trend, session = _trend(conditions.trend, tuning), _session(conditions.session_activity, tuning)
    stake, learned = _exposure(exposure, tuning), _learned(history, tuning)
    base = Factor("base", base_s, None, log_base)
    raw = log_base + heat[3] + trend[3] + session[3] + loaded[3] + stake[3] + failed[3] + learned[3]

    inside, final, interval_s = _settle(raw, log_low, log_top, log_base, before_s, tuning)
    # exp(log(x)) may miss x by one unit in the last place; a bound is a bound.
    interval_s = low_s if interval_s < low_s else high_s if interval_s > high_s else interval_s
    bound = None if inside == raw else low_s if inside > raw else exp(inside)
    clamped = Factor("bounds", exp(raw), bound, inside - raw)
    settled = Factor("dead_band", before_s, tuning.dead_band, final - inside)
    factors = (base, heat, trend, session, loaded, stake, failed, learned, clamped, settled)
    floor_s = low_s if failed[3] == 0.0 else min(low_s * exp(failed[3]), interval_s)
    return Cadence(interval_s, final, before_s, hot, floor_s, factors)


def _settle(
    raw: float, log_low: float, log_top: float, log_base: float, before_s: float | None, tuning: Tuning
) -> tuple[float, float, float]:
    """Clamped log, final log, interval: the interval in force, unchanged, while it is near enough, else a step."""
    if raw <= log_low:
        return log_low, log_low, exp(log_low)  # the minimum is meant: no dead band keeps a workflow from it
    inside = raw if raw < log_top else log_top
    if before_s is not None:
        before = log(before_s)
        if log_low <= before <= log_top and -tuning.dead_band <= inside - before <= tuning.dead_band:
            return inside, before, before_s
    final = log_base + round((inside - log_base) / tuning.step) * tuning.step
    final = log_low if final < log_low else log_top if final > log_top else final
    return inside, final, exp(final)


def _volatility(
    conditions: Conditions, was_hot: bool, log_to_minimum: float, tuning: Tuning
) -> tuple[Factor, bool]:
    """The volatility term, and whether volatility is above the threshold that applies. Unknown is neutral."""
    volatility, threshold = conditions.volatility, conditions.volatility_threshold
    if was_hot:
        threshold *= 1.0 - tuning.volatility_hysteresis
    if volatility is None or not 0.0 <= volatility < inf:
        return Factor("volatility", None, threshold, 0.0), False
    reference, cap = conditions.volatility_reference, tuning.volatility_cap
    if not 0.0 < reference < inf:
        term = 0.0
    elif volatility == 0.0:
        term = cap
    else:
        # Logs are subtracted: a quotient of extreme values may be 0 or infinite.
        term = log(reference) - log(volatility)
        term = cap if term > cap else -cap if term < -cap else term
    if volatility > threshold:
        return Factor("volatility", volatility, threshold, min(term, log_to_minimum)), True
    return Factor("volatility", volatility, threshold, term), False


def _hot_room(lift: float, tuning: Tuning) -> float:
    """Log room above the minimum while hot: the ceiling, and beyond it what load and failures ask for.

    In whole steps: a ceiling that followed every breath of the CPU would drag the interval along.
    """
    room = log(tuning.hot_ceiling)
    return room if lift <= 0.0 else room + ceil(lift / tuning.step) * tuning.step


def _failures(count: int, tuning: Tuning) -> Factor:
    return Factor(
        "failures", count, None, tuning.failure_gain * min(count, tuning.failure_cap) if count > 0 else 0.0
    )


def _trend(trend: float, tuning: Tuning) -> Factor:
    """A trend of either sign makes looking worth more. Never positive."""
    strength = min(abs(trend), 1.0) if -inf < trend < inf else 0.0
    return Factor("trend", trend, None, -tuning.trend_gain * strength)


def _session(activity: float, tuning: Tuning) -> Factor:
    if activity == 1.0 or not 0.0 <= activity < inf:
        return Factor("session", activity, None, 0.0)
    cap = tuning.session_cap
    return Factor("session", activity, None, -tuning.session_gain * log(min(max(activity, 1.0 / cap), cap)))


def _load(
    subject: Subject, conditions: Conditions, exposure: Exposure, load: HostLoad, tuning: Tuning
) -> Factor:
    """Never negative, and zero for a trading workflow that holds a position."""
    _, value, threshold, ratio = pressure(load, conditions.quota_used, tuning)
    if ratio <= 0.0 or (subject.is_trading and exposure.open_positions > 0):
        return Factor("load", value, threshold, 0.0)
    weight = subject.load_weight
    weight = min(weight, tuning.load_weight_cap) if weight > 0.0 else 0.0
    return Factor("load", value, threshold, weight * tuning.load_cap * ratio)


def _exposure(exposure: Exposure, tuning: Tuning) -> Factor:
    """Never positive. With a known stop the distance is shown, else the gross exposure."""
    if exposure.open_positions <= 0:
        return Factor("exposure", 0.0, None, 0.0)
    ratio = exposure.exposure_ratio
    term = -tuning.exposure_gain * min(ratio, 1.0) if ratio > 0.0 else 0.0
    distance, reach = exposure.stop_distance_sigmas, tuning.stop_reach_sigmas
    if distance is None or not -inf < distance < inf:
        return Factor("exposure", ratio, None, term)
    if distance < reach:
        term -= tuning.stop_gain * (1.0 - max(distance, 0.0) / reach)
    return Factor("exposure", distance, reach, term)


def _learned(history: History, tuning: Tuning) -> Factor:
    """Shrunk towards the prior by the number of samples, then bounded."""
    samples, value = history.run_value_samples, history.run_value
    if samples <= 0 or value == 1.0 or not 0.0 < value < inf:
        return Factor("learned", value, None, 0.0)
    cap = tuning.learned_cap
    term = -tuning.learned_gain * log(value) * samples / (samples + tuning.learned_prior_samples)
    return Factor("learned", value, None, cap if term > cap else -cap if term < -cap else term)
