"""The constants of the engine in one value. Logs are natural; an interval is multiplied by exp(contribution)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

LOG_2: Final = math.log(2.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ramp:
    """Pressure rises linearly from 0 at `start` to 1 at `full`."""

    start: float
    full: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Tuning:
    """How strongly each input acts. Raises ValueError when the dead band could not stop an oscillation."""

    # Events come at a rate that grows with the square of volatility and the best interval with the inverse root of
    # the rate, hence 1 / volatility; activity scales the rate itself, hence its inverse root.
    volatility_cap: float = 2.0 * LOG_2  # the term stays within +- this
    volatility_hysteresis: float = 0.05  # once hot, hot until volatility is this share below the threshold
    hot_ceiling: float = 2.0  # hot: session, trend and learning may not stretch beyond this x the minimum
    trend_gain: float = 0.25  # at full strength, either sign
    session_gain: float = 0.5
    session_cap: float = 4.0  # activity is taken within 1/cap .. cap

    cpu: Ramp = Ramp(start=0.60, full=0.95)
    ram: Ramp = Ramp(start=0.75, full=0.95)
    queue_depth: Ramp = Ramp(start=2.0, full=12.0)  # waiting tasks per worker
    queue_oldest_s: Ramp = Ramp(start=10.0, full=120.0)
    quota: Ramp = Ramp(start=0.50, full=0.95)
    load_cap: float = 2.0 * LOG_2  # at full pressure and weight 1
    load_weight_cap: float = 3.0

    exposure_gain: float = 0.35  # at gross exposure = equity
    stop_gain: float = 1.0  # with the stop at zero distance
    stop_reach_sigmas: float = 3.0  # a stop farther away than this does not matter
    stop_near_sigmas: float = 1.0  # trigger

    failure_gain: float = LOG_2  # doubling
    failure_cap: int = 6

    learned_gain: float = 0.5
    learned_cap: float = LOG_2
    learned_prior_samples: float = 20.0

    step: float = LOG_2 / 4.0  # intervals move on a grid: base x 2^(k/4)
    dead_band: float = 0.35  # the interval in force stays while the computed one is within this of it
    quota_stop: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 < self.step < 2.0 * self.dead_band:
            raise ValueError(f"step must be above 0 and below twice the dead band, was {self.step}")


DEFAULT: Final = Tuning()
