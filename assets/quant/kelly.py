"""Kelly's stake from a record of outcomes, made safe: lower confidence bound of the edge, a fraction, a cap, else nothing.

The full stake for a small edge is mean / variance (Kelly 1956, Thorp 2006). A record that is too short, an edge that is
not significant and a number that is not finite all give a stake of 0: no size is better than a size made of luck.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from assets.quant.arrays import Numbers, checked

MIN_TRADES = 30
_FLAT = 1e-12


@dataclass(frozen=True, kw_only=True, slots=True)
class Kelly:
    """`stake` is the fraction of equity, 0 to `cap`. `reason`: sized, capped, too_few, no_edge, no_variance.

    `mean`, `deviation` and `edge` (the lower bound of the mean) are per unit staked; `full` is the stake before fraction
    and cap.
    """

    stake: float
    reason: str
    trades: int
    mean: float
    deviation: float
    edge: float
    full: float
    fraction: float
    cap: float
    confidence: float


def kelly(
    outcomes: Numbers,
    *,
    fraction: float = 0.25,
    cap: float = 0.10,
    confidence: float = 0.95,
    min_trades: int = MIN_TRADES,
) -> Kelly:
    """Stake for a strategy whose closed trades returned `outcomes` per unit staked (0.02 = 2 %, above -1 each).

    Raises ValueError unless 0 < fraction <= 1, 0 <= cap <= 1 and 0.5 < confidence < 1, or for an outcome that is not
    finite or at or below -1 (a stake cannot lose more than itself here; a leveraged one belongs in other units).
    """
    if not (0.0 < fraction <= 1.0 and 0.0 <= cap <= 1.0 and 0.5 < confidence < 1.0):
        raise ValueError(
            f"Needs 0 < fraction <= 1, 0 <= cap <= 1, 0.5 < confidence < 1; were {fraction}, {cap}, {confidence}."
        )
    series = checked(outcomes, "outcomes")
    if series.size and float(series.min()) <= -1.0:
        raise ValueError(f"An outcome at or below -1 loses more than the stake: {float(series.min())}.")
    n = int(series.size)
    mean = float(series.mean()) if n else math.nan
    deviation = float(series.std(ddof=1)) if n > 1 else math.nan

    def answer(reason: str, stake: float = 0.0, edge: float = math.nan, full: float = 0.0) -> Kelly:
        return Kelly(
            stake=stake, reason=reason, trades=n, mean=mean, deviation=deviation, edge=edge, full=full,
            fraction=fraction, cap=cap, confidence=confidence,
        )  # fmt: skip

    if n < max(min_trades, 2):
        return answer("too_few")
    if deviation <= _FLAT * max(1.0, abs(mean)):
        return answer("no_variance")  # outcomes that never vary are a fault of the record, not a certainty
    edge = mean - t_quantile(confidence, n - 1) * deviation / math.sqrt(n)
    if edge <= 0.0:
        return answer("no_edge", edge=edge)
    full = edge / (deviation * deviation + mean * mean)
    stake = fraction * full
    return answer("sized" if stake <= cap else "capped", min(stake, cap), edge, full)


def t_quantile(confidence: float, freedom: int) -> float:
    """One-sided quantile of Student's t by Fisher's expansion around the normal one; 1e-3 from 10 degrees of freedom on.

    (Abramowitz and Stegun 26.7.5.)
    """
    if freedom < 1:
        raise ValueError(f"Needs at least one degree of freedom, was {freedom}.")
    z = NormalDist().inv_cdf(confidence)
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
        + (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / (92160 * freedom**4)
    )
