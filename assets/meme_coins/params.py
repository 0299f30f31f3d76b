"""What a person may set on a meme-coin workflow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _

from assets.quant.sizing import SizeRule
from assets.research.stakes import SIZING
from orchestrator.params import Param, validate

SCHEMA: tuple[Param, ...] = (
    Param(
        name="symbols", kind="symbols", default=[], label=_("Coins"),
        help=_("Coins this workflow trades. Empty: all active meme coins."),
    ),
    Param(
        name="volatility_threshold", kind="float", default=0.80, minimum=0.1, maximum=5.0,
        label=_("Speed-up volatility"), unit=_("per year"),
        help=_("Above this annualised volatility of the liveliest coin the workflow runs every one to two minutes."),
    ),
    Param(
        name="band_sigmas", kind="float", default=2.0, minimum=0.5, maximum=10.0,
        label=_("Price band"), unit="σ",
        help=_("A move of this many sigmas since the last run starts a run at once."),
    ),
    Param(
        name="momentum_min", kind="int", default=60, minimum=5, maximum=1440,
        label=_("Momentum window"), unit=_("min"), help=_("How far back the trend of a coin is measured."),
    ),
    Param(
        name="entry_sigmas", kind="float", default=1.5, minimum=0.25, maximum=6.0,
        label=_("Entry strength"), unit="σ",
        help=_("A coin is bought when its move over the window is at least this strong. Higher: fewer trades."),
    ),
    Param(
        name="exit_sigmas", kind="float", default=0.0, minimum=-6.0, maximum=6.0,
        label=_("Exit strength"), unit="σ", help=_("A coin is sold when its move falls below this."),
    ),
    Param(
        name="burst_ratio", kind="float", default=1.5, minimum=0.5, maximum=20.0,
        label=_("Volume burst"), unit="×",
        help=_("Recent volume over usual volume that an entry needs. Higher: fewer, louder entries."),
    ),
    Param(
        name="min_turnover", kind="float", default=20000.0, minimum=0.0, maximum=1e8,
        label=_("Least turnover"), unit=_("quote per minute"),
        help=_("Coins that trade less than this are not bought: the order itself would move them."),
    ),
    Param(
        name="max_spread_bps", kind="float", default=30.0, minimum=0.5, maximum=500.0,
        label=_("Widest spread"), unit="bps", help=_("Coins with a wider gap between bid and ask are not bought."),
    ),
    Param(
        name="max_position", kind="float", default=0.20, minimum=0.01, maximum=0.5,
        label=_("Largest position"), unit=_("of capital"), help=_("No coin gets more of the account than this."),
    ),
    Param(
        name="risk_per_trade", kind="float", default=0.005, minimum=0.0005, maximum=0.05,
        label=_("Risk per trade"), unit=_("of capital"), help=_("What the account loses when a stop is hit."),
    ),
    Param(
        name="stop_atr", kind="float", default=2.0, minimum=0.5, maximum=10.0,
        label=_("Stop distance"), unit="× ATR", help=_("How many average hourly ranges away the stop lies."),
    ),
    Param(
        name="stop_min", kind="float", default=0.03, minimum=0.002, maximum=0.5,
        label=_("Closest stop"), unit=_("of price"), help=_("The stop is never closer than this."),
    ),
    Param(
        name="stop_max", kind="float", default=0.15, minimum=0.002, maximum=0.9,
        label=_("Farthest stop"), unit=_("of price"), help=_("The stop is never farther than this."),
    ),
    *SIZING,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class MemeParams:
    """Validated parameters; units as in SCHEMA."""

    symbols: tuple[str, ...] = ()
    volatility_threshold: float = 0.80
    band_sigmas: float = 2.0
    momentum_min: int = 60
    entry_sigmas: float = 1.5
    exit_sigmas: float = 0.0
    burst_ratio: float = 1.5
    min_turnover: float = 20_000.0
    max_spread_bps: float = 30.0
    max_position: float = 0.20
    risk_per_trade: float = 0.005
    stop_atr: float = 2.0
    stop_min: float = 0.03
    stop_max: float = 0.15
    sizing: str = "risk"
    fixed_weight: float = 0.10
    target_volatility: float = 0.10
    kelly_fraction: float = 0.25
    kelly_cap: float = 0.10

    @property
    def size_rule(self) -> SizeRule:
        return SizeRule(
            method=self.sizing, fixed_weight=self.fixed_weight, target_volatility=self.target_volatility,
            kelly_fraction=self.kelly_fraction, kelly_cap=self.kelly_cap,
        )  # fmt: skip


def read(values: Mapping[str, Any]) -> MemeParams:
    """Parameters with defaults filled in. Raises Invalid with one entry per bad field."""
    clean = validate(SCHEMA, values)
    return MemeParams(**{**clean, "symbols": tuple(clean["symbols"])})
