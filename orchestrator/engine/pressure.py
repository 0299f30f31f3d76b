"""How scarce the machine and the venue's request budget are, as one number and the name of what binds."""

from __future__ import annotations

from typing import NamedTuple

from orchestrator.engine.tuning import Ramp, Tuning
from orchestrator.engine.types import HostLoad


class Pressure(NamedTuple):
    """`ratio` is 0 (free) .. 1 (full). `code`: cpu, ram, queue, queue_age, quota or capacity, whichever is scarcest."""

    code: str
    value: float
    threshold: float
    ratio: float


def pressure(load: HostLoad, quota_used: float, tuning: Tuning) -> Pressure:
    """The scarcest resource decides: a free CPU does not make up for a full memory. Garbage counts as free."""
    workers = load.workers if load.workers > 1 else 1
    cpu = tuning.cpu
    best_code, best_value, best_start = "cpu", load.cpu, cpu.start
    best = (load.cpu - cpu.start) / (cpu.full - cpu.start)
    if not best > 0.0:
        best = 0.0
    for code, value, ramp in (
        ("ram", load.ram, tuning.ram),
        ("queue", load.queue_depth / workers, tuning.queue_depth),
        ("queue_age", load.queue_oldest_s, tuning.queue_oldest_s),
        ("quota", quota_used, tuning.quota),
    ):
        if value > ramp.start:
            ratio = _ratio(value, ramp)
            if ratio > best:
                best_code, best_value, best_start, best = code, value, ramp.start, ratio
    if best >= 1.0:
        best = 1.0
    if load.shadow_price > best * tuning.load_cap:
        price = load.shadow_price
        return Pressure("capacity", price, 0.0, min(price / tuning.load_cap, 1.0))
    return Pressure(best_code, best_value, best_start, best)


def _ratio(value: float, ramp: Ramp) -> float:
    return (value - ramp.start) / (ramp.full - ramp.start)
