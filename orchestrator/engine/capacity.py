"""The shadow price of the machine: how much everything that may wait must stretch so that all of it fits.

An interval grows with the root of the price of a run, so a price acts as an added log:
tau_i = tau_i0 * exp(w_i * price).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from orchestrator.engine.tuning import DEFAULT, Tuning

_ROUNDS: Final = 50  # halvings: far below float precision of the price


@dataclass(frozen=True, kw_only=True, slots=True)
class Demand:
    """What one workflow asks of the machine. Unusable numbers are taken as no demand."""

    interval_s: float  # wanted without any load term
    max_s: float  # never stretched beyond
    cost_s: float  # worker seconds of one run
    weight: float = (
        1.0  # of the load term; 0 for what must not wait (a trading workflow that holds a position)
    )


def utilisation(demands: Sequence[Demand], price: float) -> float:
    """Worker seconds asked per second at this price (>= 0)."""
    return math.fsum(_rate(demand, price) for demand in demands)


def _rate(demand: Demand, price: float) -> float:
    interval, cost, weight = demand.interval_s, demand.cost_s, demand.weight
    if not (0.0 < interval < math.inf and 0.0 < cost < math.inf):
        return 0.0
    if weight > 0.0 and price > 0.0:
        # A maximum at or below the wanted interval leaves nothing to stretch.
        interval = max(interval, min(interval * math.exp(min(weight * price, 50.0)), demand.max_s))
    return cost / interval


def shadow_price(
    demands: Sequence[Demand], *, workers: int, target: float = 0.7, tuning: Tuning = DEFAULT
) -> float:
    """The smallest price (log stretch, 0 .. `tuning.load_cap`) at which demand fits `workers * target`.

    0 when everything fits as it is; the cap when even that is not enough (then the hot path is left alone and the queue
    grows, which health checks report). Found by bisection: utilisation falls with the price.
    """
    capacity = max(workers, 1) * target
    if not capacity > 0.0 or utilisation(demands, 0.0) <= capacity:
        return 0.0
    low, high = 0.0, tuning.load_cap
    if utilisation(demands, high) > capacity:
        return high
    for _ in range(_ROUNDS):
        middle = (low + high) / 2.0
        if utilisation(demands, middle) > capacity:
            low = middle
        else:
            high = middle
    return high
