"""The figures of one workflow over a window, from its stored decisions and runs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

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
        (
            row
            for row in decisions
            if (at := reading.moment(reading.get(row, "decided_at"))) is not None and at <= now
        ),
        key=lambda row: reading.get(row, "decided_at"),
    )
    starts = [_at(row) for row in ordered]
    lengths = [(end - start).total_seconds() for start, end in zip(starts, [*starts[1:], now], strict=False)]
    total = math.fsum(lengths)

    def share(holds: Callable[[Any], bool]) -> float:
        if total <= 0.0:
            return 0.0
        return math.fsum(length for row, length in zip(ordered, lengths, strict=True) if holds(row)) / total

    seen = [
        (term.get("value"), term.get("threshold")) for row in ordered if (term := _term(row, "volatility"))
    ]
    known = [(size, limit) for value, limit in seen if (size := reading.number(value)) is not None]
    return Facts(
        span=now - starts[0] if starts else timedelta(0),
        decisions=len(ordered),
        volatility_known=len(known),
        hot_share=share(_is_hot),
        highest_volatility=max((value for value, _limit in known), default=None),
        threshold=reading.number(known[-1][1]) if known else None,
        at_minimum_share=share(lambda row: _contribution(row, "bounds") > 0.01),
        slowed_share=share(lambda row: _contribution(row, "load") > math.log(1.2)),
        stale_share=share(lambda row: _holds(row, "data_stale", "data_missing")),
        quota_share=share(lambda row: _holds(row, "quota")),
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


def _at(row: Any) -> datetime:
    at = reading.moment(reading.get(row, "decided_at"))
    assert at is not None  # filtered before
    return at


def _term(row: Any, code: str) -> Mapping[str, Any]:
    return next((item for item in reading.items(row, "factors") if item.get("code") == code), {})


def _contribution(row: Any, code: str) -> float:
    return reading.number(_term(row, code).get("contribution")) or 0.0


def _is_hot(row: Any) -> bool:
    term = _term(row, "volatility")
    value, threshold = reading.number(term.get("value")), reading.number(term.get("threshold"))
    return value is not None and threshold is not None and value > threshold


def _holds(row: Any, *codes: str) -> bool:
    return any(gate.get("code") in codes for gate in reading.items(row, "gates"))


def wilson(hits: int, of: int, z: float = 1.645) -> tuple[float, float]:
    """90 % interval of a proportion; (0, 1) without data."""
    if of <= 0:
        return 0.0, 1.0
    ratio, square = hits / of, z * z
    middle = (ratio + square / (2 * of)) / (1 + square / of)
    half = z * math.sqrt(ratio * (1 - ratio) / of + square / (4 * of * of)) / (1 + square / of)
    return max(middle - half, 0.0), min(middle + half, 1.0)
