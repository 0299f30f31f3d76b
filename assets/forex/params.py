"""What a person may set on a forex workflow."""

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
        name="symbols", kind="symbols", default=[], label=_("Pairs"),
        help=_("Currency pairs this workflow trades. Empty: all active pairs."),
    ),
    Param(
        name="volatility_threshold", kind="float", default=0.50, minimum=0.02, maximum=2.0,
        label=_("Speed-up volatility"), unit=_("per year"),
        help=_("Above this annualised volatility of the liveliest pair the workflow runs every 15 to 30 minutes."),
    ),
    Param(
        name="band_sigmas", kind="float", default=2.0, minimum=0.5, maximum=10.0,
        label=_("Price band"), unit="σ",
        help=_("A move of this many sigmas since the last run starts a run at once."),
    ),
    Param(
        name="fast_bars", kind="int", default=8, minimum=2, maximum=100,
        label=_("Fast average"), unit=_("bars of 15 min"), help=_("Shorter: earlier and more often wrong."),
    ),
    Param(
        name="slow_bars", kind="int", default=32, minimum=5, maximum=400,
        label=_("Slow average"), unit=_("bars of 15 min"), help=_("The trend is the fast average over this one."),
    ),
    Param(
        name="trend_entry", kind="float", default=0.35, minimum=0.05, maximum=0.99,
        label=_("Trend entry"), unit="0-1", help=_("A trending pair is entered when its trend is this strong."),
    ),
    Param(
        name="reversion_entry", kind="float", default=2.0, minimum=0.5, maximum=5.0,
        label=_("Reversion entry"), unit="σ",
        help=_("A pair that swings is entered against its move when this far from its average."),
    ),
    Param(
        name="reversion_exit", kind="float", default=0.5, minimum=0.0, maximum=3.0,
        label=_("Reversion exit"), unit="σ", help=_("... and left when it is this near again."),
    ),
    Param(
        name="min_activity", kind="float", default=0.9, minimum=0.0, maximum=3.0,
        label=_("Least activity"), unit=_("1 = ordinary hour"),
        help=_("Nothing is entered in quieter hours; positions are watched at all hours."),
    ),
    Param(
        name="flat_before_close_min", kind="int", default=60, minimum=35, maximum=600,
        label=_("Flat before the weekend"), unit=_("min"),
        help=_("All positions are closed this long before the market closes on Friday."),
    ),
    Param(
        name="no_entry_before_close_min", kind="int", default=240, minimum=35, maximum=1440,
        label=_("Last entry before the weekend"), unit=_("min"), help=_("Nothing is entered later than this."),
    ),
    Param(
        name="max_position", kind="float", default=0.30, minimum=0.01, maximum=5.0,
        label=_("Largest position"), unit=_("of capital"), help=_("No pair gets more of the account than this."),
    ),
    Param(
        name="risk_per_trade", kind="float", default=0.005, minimum=0.0005, maximum=0.05,
        label=_("Risk per trade"), unit=_("of capital"), help=_("What the account loses when a stop is hit."),
    ),
    Param(
        name="stop_atr", kind="float", default=1.5, minimum=0.5, maximum=10.0,
        label=_("Stop distance"), unit="× ATR", help=_("How many average hourly ranges away the stop lies."),
    ),
    Param(
        name="stop_min", kind="float", default=0.003, minimum=0.0005, maximum=0.2,
        label=_("Closest stop"), unit=_("of price"), help=_("The stop is never closer than this."),
    ),
    Param(
        name="stop_max", kind="float", default=0.02, minimum=0.0005, maximum=0.5,
        label=_("Farthest stop"), unit=_("of price"), help=_("The stop is never farther than this."),
    ),
    *SIZING,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class ForexParams:
    """Validated parameters; units as in SCHEMA."""

    symbols: tuple[str, ...] = ()
    volatility_threshold: float = 0.50
    band_sigmas: float = 2.0
    fast_bars: int = 8
    slow_bars: int = 32
    trend_entry: float = 0.35
    reversion_entry: float = 2.0
    reversion_exit: float = 0.5
    min_activity: float = 0.9
    flat_before_close_min: int = 60
    no_entry_before_close_min: int = 240
    max_position: float = 0.30
    risk_per_trade: float = 0.005
    stop_atr: float = 1.5
    stop_min: float = 0.003
    stop_max: float = 0.02
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


def read(values: Mapping[str, Any]) -> ForexParams:
    """Parameters with defaults filled in. Raises Invalid with one entry per bad field."""
    clean = validate(SCHEMA, values)
    return ForexParams(**{**clean, "symbols": tuple(clean["symbols"])})
