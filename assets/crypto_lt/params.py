"""What a person may set on a long-term crypto workflow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _

from orchestrator.params import Param, validate

# Shares of the invested part, by symbol. Coins that are not listed share what is left equally.
CORE_SHARES: Mapping[str, float] = {"BTCUSDT": 0.50, "ETHUSDT": 0.30, "SOLUSDT": 0.10, "ADAUSDT": 0.10}

SCHEMA: tuple[Param, ...] = (
    Param(
        name="symbols", kind="symbols", default=[], label=_("Coins"),
        help=_("Coins this workflow collects. Empty: all active long-term coins."),
    ),
    Param(
        name="volatility_threshold", kind="float", default=0.60, minimum=0.05, maximum=5.0,
        label=_("Speed-up volatility"), unit=_("per year"),
        help=_("Above this annualised volatility of the portfolio the workflow looks every hour or two."),
    ),
    Param(
        name="band_sigmas", kind="float", default=2.5, minimum=0.5, maximum=10.0,
        label=_("Price band"), unit="σ",
        help=_("A move of this many sigmas since the last run starts a run at once."),
    ),
    Param(
        name="weekly_budget", kind="float", default=2000.0, minimum=10.0, maximum=1e7,
        label=_("Weekly budget"), unit=_("quote currency"), help=_("What is bought in an ordinary week, all coins."),
    ),
    Param(
        name="buy_every_h", kind="int", default=24, minimum=1, maximum=168,
        label=_("Time between purchases"), unit="h",
        help=_("The weekly budget is split into purchases this far apart."),
    ),
    Param(
        name="drawdown_gain", kind="float", default=2.0, minimum=0.0, maximum=10.0,
        label=_("More when cheaper"), unit="×",
        help=_("At half the recent high a purchase grows by half of this factor."),
    ),
    Param(
        name="volatility_reference", kind="float", default=0.60, minimum=0.05, maximum=5.0,
        label=_("Ordinary volatility"), unit=_("per year"),
        help=_("Above it purchases shrink in proportion, below it they grow."),
    ),
    Param(
        name="max_multiple", kind="float", default=2.0, minimum=1.0, maximum=5.0,
        label=_("Largest multiple"), unit="×",
        help=_("No purchase, and no seven days together, exceed the budget by more than this factor."),
    ),
    Param(
        name="rebalance_band", kind="float", default=0.05, minimum=0.005, maximum=0.5,
        label=_("Rebalance band"), unit=_("of invested value"),
        help=_("When a coin's share is farther than this from its target, all shares are put right."),
    ),
    Param(
        name="rebalance_days", kind="int", default=7, minimum=1, maximum=365,
        label=_("Least time between rebalances"), unit=_("days"), help=_("Keeps fees from eating the gain."),
    ),
    Param(
        name="rebalance_from", kind="float", default=0.10, minimum=0.0, maximum=1.0,
        label=_("Rebalance from"), unit=_("of capital"),
        help=_("A portfolio smaller than this is not rebalanced: purchases will put it right."),
    ),
    Param(
        name="max_position", kind="float", default=0.40, minimum=0.01, maximum=0.6,
        label=_("Largest position"), unit=_("of capital"), help=_("No coin gets more of the account than this."),
    ),
    Param(
        name="cash_reserve", kind="float", default=0.02, minimum=0.0, maximum=0.9,
        label=_("Cash reserve"), unit=_("of capital"), help=_("This share of the account is never spent."),
    ),
    Param(
        name="loss_alert", kind="float", default=0.25, minimum=0.01, maximum=0.95,
        label=_("Loss alert"), unit=_("below cost"),
        help=_("A coin this far below what it cost raises an alert. Nothing is sold."),
    ),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class CryptoParams:
    """Validated parameters; units as in SCHEMA."""

    symbols: tuple[str, ...] = ()
    volatility_threshold: float = 0.60
    band_sigmas: float = 2.5
    weekly_budget: float = 2000.0
    buy_every_h: int = 24
    drawdown_gain: float = 2.0
    volatility_reference: float = 0.60
    max_multiple: float = 2.0
    rebalance_band: float = 0.05
    rebalance_days: int = 7
    rebalance_from: float = 0.10
    max_position: float = 0.40
    cash_reserve: float = 0.02
    loss_alert: float = 0.25


def read(values: Mapping[str, Any]) -> CryptoParams:
    """Parameters with defaults filled in. Raises Invalid with one entry per bad field."""
    clean = validate(SCHEMA, values)
    return CryptoParams(**{**clean, "symbols": tuple(clean["symbols"])})


def shares(symbols: tuple[str, ...]) -> dict[str, float]:
    """Target shares of the invested value, summing to 1. The simulated twin of a coin has the coin's share."""
    listed = {symbol: CORE_SHARES.get(symbol.removesuffix(".DEMO"), 0.0) for symbol in symbols}
    others = [symbol for symbol, share in listed.items() if share == 0.0]
    rest = 1.0 - sum(CORE_SHARES.values()) if len(others) < len(symbols) else 1.0
    # A coin nobody planned for gets the smallest share of the core rather than nothing.
    spare = max(rest, min(CORE_SHARES.values()) * len(others)) if others else 0.0
    raw = {symbol: share or spare / len(others) for symbol, share in listed.items()}
    total = sum(raw.values())
    return {symbol: share / total for symbol, share in raw.items()} if total > 0 else {}
