"""The figures of one workflow over a window, from its stored decisions and runs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from orchestrator.explain import reading

MIN_RUNS: Final = 20  # below, a share or a quantile of runs is not worth a word
_FAILED: Final = ("failed", "timed_out", "abandoned")


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """Figures of one workflow over a window. Shares are of time watched, 0..1; None: too little to say."""

    span: timedelta
    decisions: int
    volatility_known: int  # decisions that knew it
    hot_share: float
    highest_volatility: float | None
    threshold: float | None
    at_minimum_share: float
    slowed_share: float  # load lengthened the interval by 20 % or more
    stale_share: float
    quota_share: float
    ended: int
    succeeded: int
    changed: int
    judged: int  # runs that say whether they changed something
    too_late: int
    error: str  # the most frequent error code, "" when none
    duration_p95_s: float | None


def gather(*, decisions: Iterable[Any], runs: Iterable[Any], now: datetime) -> Facts:
    """A decision is in force until the next one of the workflow, the newest until `now`."""
    ordered = sorted(
        ((one.at, one) for row in decisions if (one := _seen(row)).at is not None and one.at <= now),
        key=lambda item: item[0],
    )
    starts = [at for at, _one in ordered]
    lengths = [(end - start).total_seconds() for start, end in zip(starts, [*starts[1:], now], strict=False)]
    looks = [one for _at, one in ordered]
    total = math.fsum(lengths)

    def share(holds: Callable[[Seen], bool]) -> float:
        if total <= 0.0:
            return 0.0
        return math.fsum(length for look, length in zip(looks, lengths, strict=True) if holds(look)) / total

    known = [look for look in looks if look.volatility is not None]
    return Facts(
        span=now - starts[0] if starts else timedelta(0),
        decisions=len(ordered),
        volatility_known=len(known),
        hot_share=share(lambda look: look.is_hot),
        highest_volatility=max(
            (look.volatility for look in known if look.volatility is not None), default=None
        ),
        threshold=known[-1].threshold if known else None,
        at_minimum_share=share(lambda look: look.bounds > 0.01),
        slowed_share=share(lambda look: look.load > math.log(1.2)),
        stale_share=share(lambda look: bool(look.gates & {"data_stale", "data_missing"})),
        quota_share=share(lambda look: "quota" in look.gates),
        **_run_figures(list(runs)),
    )


def _run_figures(runs: Sequence[Any]) -> dict[str, Any]:
    statuses = Counter(str(reading.get(row, "status", "")) for row in runs)
    errors = Counter(code for row in runs if (code := str(reading.get(row, "error_code", ""))))
    judged = [row for row in runs if isinstance(reading.get(row, "changed"), bool)]
    durations = sorted(
        (end - start).total_seconds()
        for row in runs
        if (start := reading.moment(reading.get(row, "started_at"))) is not None
        and (end := reading.moment(reading.get(row, "finished_at"))) is not None
    )
    succeeded = statuses["succeeded"]
    return {
        "ended": succeeded + sum(statuses[name] for name in _FAILED),
        "succeeded": succeeded,
        "changed": sum(bool(reading.get(row, "changed")) for row in judged),
        "judged": len(judged),
        "too_late": sum(
            reading.get(row, "status") == "skipped" and "late" in str(reading.get(row, "skip_reason", ""))
            for row in runs
        ),
        "error": errors.most_common(1)[0][0] if errors else "",
        "duration_p95_s": durations[math.ceil(0.95 * len(durations)) - 1]
        if len(durations) >= MIN_RUNS
        else None,
    }


class Seen(NamedTuple):
    """What the rules ask of one decision, read once: there are thousands. `at` None: not a time."""

    at: datetime | None
    volatility: float | None = None
    threshold: float | None = None
    load: float = 0.0
    bounds: float = 0.0
    gates: frozenset[str] = frozenset()

    @property
    def is_hot(self) -> bool:
        return self.volatility is not None and self.threshold is not None and self.volatility > self.threshold


_NONE: Final[frozenset[str]] = frozenset()


def seen(at: Any, gates: Any, volatility: Any, threshold: Any, load: Any, bounds: Any) -> Seen:
    """From stored values, whatever they are: `volatility` with its threshold, and the contributions of two factors."""
    held = _NONE
    if gates:
        held = frozenset(str(gate.get("code", "")) for gate in gates if isinstance(gate, Mapping))
    number = reading.number
    return Seen(
        reading.moment(at),
        number(volatility),
        number(threshold),
        number(load) or 0.0,
        number(bounds) or 0.0,
        held,
    )


def _seen(row: Any) -> Seen:
    if isinstance(row, Seen):
        return row
    terms = {str(item.get("code", "")): item for item in reading.items(row, "factors")}
    volatility, load, bounds = (terms.get(code, {}) for code in ("volatility", "load", "bounds"))
    return seen(
        reading.get(row, "decided_at"), reading.get(row, "gates"), volatility.get("value"),
        volatility.get("threshold"), load.get("contribution"), bounds.get("contribution"),
    )  # fmt: skip


def wilson(hits: int, of: int, z: float = 1.645) -> tuple[float, float]:
    """90 % interval of a proportion; (0, 1) without data."""
    if of <= 0:
        return 0.0, 1.0
    ratio, square = hits / of, z * z
    middle = (ratio + square / (2 * of)) / (1 + square / of)
    half = z * math.sqrt(ratio * (1 - ratio) / of + square / (4 * of * of)) / (1 + square / of)
    return max(middle - half, 0.0), min(middle + half, 1.0)
