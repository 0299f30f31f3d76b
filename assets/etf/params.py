"""What a person may set on an ETF workflow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _

from orchestrator.params import Param, validate

SCHEMA: tuple[Param, ...] = (
    Param(
        name="symbols", kind="symbols", default=[], label=_("Funds"),
        help=_("Funds this workflow chooses from. Empty: all active ETFs."),
    ),
    Param(
        name="volatility_threshold", kind="float", default=0.30, minimum=0.05, maximum=3.0,
        label=_("Speed-up volatility"), unit=_("per year"),
        help=_("Above this mean annualised volatility of the funds the workflow looks every hour or two."),
    ),
    Param(
        name="band_sigmas", kind="float", default=2.5, minimum=0.5, maximum=10.0,
        label=_("Price band"), unit="σ",
        help=_("A move of this many sigmas since the last run starts a run at once."),
    ),
    Param(
        name="lookback_days", kind="int", default=126, minimum=5, maximum=252,
        label=_("Momentum window"), unit=_("trading days"), help=_("How far back the winners are looked for."),
    ),
    Param(
        name="keep", kind="int", default=5, minimum=1, maximum=20,
        label=_("Funds held"), help=_("At most this many funds are held. Fewer winners leave the rest in cash."),
    ),
    Param(
        name="target_volatility", kind="float", default=0.12, minimum=0.01, maximum=1.0,
        label=_("Target volatility"), unit=_("per year"),
        help=_("In wild markets less is invested, so that the portfolio does not swing more than this."),
    ),
    Param(
        name="max_position", kind="float", default=0.40, minimum=0.01, maximum=0.5,
        label=_("Largest position"), unit=_("of capital"), help=_("No fund gets more of the account than this."),
    ),
    Param(
        name="cash_reserve", kind="float", default=0.02, minimum=0.0, maximum=0.9,
        label=_("Cash reserve"), unit=_("of capital"),
        help=_("This share of the account is never invested: fees and gaps overnight need room."),
    ),
    Param(
        name="rebalance_band", kind="float", default=0.05, minimum=0.005, maximum=0.5,
        label=_("Rebalance band"), unit=_("of capital"),
        help=_("Between the monthly dates, weights farther than this from their target are put right."),
    ),
    Param(
        name="min_bars", kind="int", default=21, minimum=10, maximum=252,
        label=_("Least history"), unit=_("bars"),
        help=_("A fund with fewer bars is not judged. With fewer daily bars hourly ones are used."),
    ),
    Param(
        name="quiet_open_min", kind="int", default=5, minimum=0, maximum=120,
        label=_("Wait after the opening"), unit=_("min"), help=_("Spreads are wide in the first minutes."),
    ),
    Param(
        name="quiet_close_min", kind="int", default=10, minimum=0, maximum=120,
        label=_("Stop before the close"), unit=_("min"), help=_("Orders need time to be filled the same day."),
    ),
    Param(
        name="loss_alert", kind="float", default=0.15, minimum=0.01, maximum=0.95,
        label=_("Loss alert"), unit=_("below cost"),
        help=_("A fund this far below what it cost raises an alert. Nothing is sold for it."),
    ),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class EtfParams:
    """Validated parameters; units as in SCHEMA."""

    symbols: tuple[str, ...] = ()
    volatility_threshold: float = 0.30
    band_sigmas: float = 2.5
    lookback_days: int = 126
    keep: int = 5
    target_volatility: float = 0.12
    max_position: float = 0.40
    cash_reserve: float = 0.02
    rebalance_band: float = 0.05
    min_bars: int = 21
    quiet_open_min: int = 5
    quiet_close_min: int = 10
    loss_alert: float = 0.15


def read(values: Mapping[str, Any]) -> EtfParams:
    """Parameters with defaults filled in. Raises Invalid with one entry per bad field."""
    clean = validate(SCHEMA, values)
    return EtfParams(**{**clean, "symbols": tuple(clean["symbols"])})
