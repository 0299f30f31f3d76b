"""For each input: the smallest change of it alone that gives another answer.

Found by asking `decide` itself, so that it is true by construction: the value in the answer was tried.
Costs some hundred decisions; computed only for decisions that are stored.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

from orchestrator.engine.decide import decide
from orchestrator.engine.tuning import DEFAULT, Tuning
from orchestrator.engine.types import (
    Action,
    Conditions,
    Counterfactual,
    Decision,
    Exposure,
    History,
    HostLoad,
    Subject,
    Switch,
)

_PRECISION = 1e-3  # of the searched range


class Inputs(NamedTuple):
    """All that `decide` is given."""

    subject: Subject
    conditions: Conditions
    exposure: Exposure
    load: HostLoad
    history: History
    now: datetime

    def decide(self, tuning: Tuning = DEFAULT) -> Decision:
        return decide(*self, tuning=tuning)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Knob:
    """One input that may be turned. `ends` are the values to search towards, from the present one."""

    code: str
    value: float
    ends: tuple[float, ...]
    is_whole: bool = False


# code -> where the input lives. A flag is turned to the side that lets runs through.
_PLACES: dict[str, tuple[str, str]] = {
    "volatility": ("conditions", "volatility"),
    "trend": ("conditions", "trend"),
    "session": ("conditions", "session_activity"),
    "move": ("conditions", "move_sigmas"),
    "data_age": ("conditions", "data_age_s"),
    "quota": ("conditions", "quota_used"),
    "cpu": ("load", "cpu"),
    "ram": ("load", "ram"),
    "queue": ("load", "queue_depth"),
    "queue_age": ("load", "queue_oldest_s"),
    "stop_distance": ("exposure", "stop_distance_sigmas"),
    "failures": ("history", "consecutive_failures"),
    "learned": ("history", "run_value"),
}
_FLAGS: dict[str, tuple[str, str, Any]] = {
    "switch": ("subject", "switch", Switch.RUNNING),
    "quarantined": ("history", "quarantined_until", None),
    "open_run": ("history", "open_run", False),
    "market_closed": ("conditions", "is_open", True),
    "venue_down": ("conditions", "venue_up", True),
}


def changed(inputs: Inputs, code: str, needed: float | None) -> Inputs:
    """The inputs with the one named by a counterfactual set to what it needs. Raises KeyError for an unknown code."""
    if code in _FLAGS:
        place, name, open_value = _FLAGS[code]
        value: Any = open_value
    else:
        place, name = _PLACES[code]
        value = needed
    return inputs._replace(**{place: replace(getattr(inputs, place), **{name: value})})


def counterfactuals(
    subject: Subject,
    conditions: Conditions,
    exposure: Exposure,
    load: HostLoad,
    history: History,
    now: datetime,
    decision: Decision,
    *,
    tuning: Tuning = DEFAULT,
) -> tuple[Counterfactual, ...]:
    """At most one per input, those that change the action first. `decision` is the answer to these inputs."""
    inputs = Inputs(subject, conditions, exposure, load, history, now)
    found = [*_flags(inputs, decision, tuning), *_numbers(inputs, decision, tuning)]
    found.sort(key=lambda item: (item.action is decision.action, _relative_change(item)))
    return tuple(found)


def _flags(inputs: Inputs, decision: Decision, tuning: Tuning) -> Iterator[Counterfactual]:
    for gate in decision.gates:
        if gate.code in _FLAGS:
            other = changed(inputs, gate.code, None).decide(tuning)
            if other.action is not decision.action:
                yield Counterfactual(
                    code=gate.code, value=None, needed=None, action=other.action, interval_s=other.interval_s
                )


def _numbers(inputs: Inputs, decision: Decision, tuning: Tuning) -> Iterator[Counterfactual]:
    for knob in _knobs(inputs, tuning):
        candidates = [
            candidate
            for end in knob.ends
            if (candidate := _search(inputs, decision, knob, end, tuning)) is not None
        ]
        if candidates:
            yield min(candidates, key=lambda item: (item.action is decision.action, _relative_change(item)))


def _relative_change(item: Counterfactual) -> float:
    """Flags first, then by the size of the change relative to the value."""
    if item.needed is None or item.value is None:
        return 0.0
    return abs(item.needed - item.value) / max(abs(item.value), 1e-9)


def _search(
    inputs: Inputs, decision: Decision, knob: _Knob, end: float, tuning: Tuning
) -> Counterfactual | None:
    """Bisect between the present value and `end`; None when the answer at `end` is the same."""

    def answer(value: float) -> Decision:
        return changed(inputs, knob.code, int(value) if knob.is_whole else value).decide(tuning)

    other = answer(end)
    if other.action is not decision.action:

        def differs(found: Decision) -> bool:
            return found.action is not decision.action
    elif decision.action is not Action.SKIP and not _same_interval(other, decision):

        def differs(found: Decision) -> bool:
            return found.action is decision.action and not _same_interval(found, decision)
    else:
        return None
    needed, other = _bisect(answer, differs, knob, end, other)
    return Counterfactual(
        code=knob.code, value=knob.value, needed=needed, action=other.action, interval_s=other.interval_s
    )


def _bisect(
    answer: Callable[[float], Decision],
    differs: Callable[[Decision], bool],
    knob: _Knob,
    end: float,
    other: Decision,
) -> tuple[float, Decision]:
    """The tried value nearest to the present one that differs, as a round number where one is as near and differs."""
    same, far = knob.value, end
    precision = 1.0 if knob.is_whole else _PRECISION * abs(end - knob.value)
    while abs(far - same) > precision:
        middle = (same + far) / 2.0
        if knob.is_whole:
            middle = float(math.floor(middle))
        tried = answer(middle)
        if differs(tried):
            far, other = middle, tried
        else:
            same = middle
    if not knob.is_whole:
        for digits in (1, 2, 3):
            round_number = float(f"{far:.{digits}g}")
            if abs(round_number - far) <= precision and differs(tried := answer(round_number)):
                return round_number, tried
    return far, other


def _same_interval(one: Decision, two: Decision) -> bool:
    return abs(one.log_interval - two.log_interval) <= 1e-9


def _knobs(inputs: Inputs, tuning: Tuning) -> Iterator[_Knob]:
    """Inputs with a known, finite value, and how far each may be turned."""
    conditions, exposure, load, history = inputs.conditions, inputs.exposure, inputs.load, inputs.history
    levels = [
        level
        for level in (conditions.volatility_threshold, conditions.volatility_reference)
        if math.isfinite(level)
    ]
    if conditions.data_age_limit_s is not None:
        yield from _knob("data_age", conditions.data_age_s, 0.0, 2.0 * conditions.data_age_limit_s)
    yield from _knob("volatility", conditions.volatility, 0.0, 4.0 * max(levels, default=1.0))
    yield from _knob("move", conditions.move_sigmas, 0.0, 2.0 * conditions.band_sigmas)
    if exposure.open_positions > 0:
        yield from _knob("stop_distance", exposure.stop_distance_sigmas, 0.0, 2.0 * tuning.stop_reach_sigmas)
    yield from _knob("trend", conditions.trend, *((0.0, -1.0) if conditions.trend < 0 else (0.0, 1.0)))
    yield from _knob("session", conditions.session_activity, 0.0, tuning.session_cap)
    yield from _knob("cpu", load.cpu, 0.0, 1.0)
    yield from _knob("ram", load.ram, 0.0, 1.0)
    depth = tuning.queue_depth.full * max(load.workers, 1)
    yield from _knob("queue", load.queue_depth, 0.0, float(math.ceil(depth)), is_whole=True)
    yield from _knob("queue_age", load.queue_oldest_s, 0.0, tuning.queue_oldest_s.full)
    yield from _knob("quota", conditions.quota_used, 0.0, 1.0)
    if history.consecutive_failures > 0:
        yield _Knob(code="failures", value=history.consecutive_failures, ends=(0.0,), is_whole=True)
    if history.run_value_samples > 0:
        yield from _knob("learned", history.run_value, 0.05, 20.0)


def _knob(
    code: str, value: float | None, low: float, high: float, *, is_whole: bool = False
) -> Iterator[_Knob]:
    if value is None or not (math.isfinite(value) and math.isfinite(low) and math.isfinite(high)):
        return
    ends = tuple(end for end, is_beyond in ((low, low < value), (high, high > value)) if is_beyond)
    yield _Knob(code=code, value=float(value), ends=ends, is_whole=is_whole)
