"""Which accounts asset types want. An asset app registers one spec in its `AppConfig.ready`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from assets.quant.protections import Rules
from assets.quant.trailing import StopRule


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountSpec:
    """The paper account of one asset type, with the limits every order of it must respect.

    `max_order_notional` is in `currency` (0 = none), ratios are fractions of equity, leverage is gross
    exposure / equity. 0 of the later ones is no limit.
    """

    asset_type: str
    currency: str
    opening_balance: Decimal
    allows_short: bool = False
    max_leverage: float = 1.0
    max_order_notional: Decimal = Decimal(0)
    max_position_ratio: float = 1.0
    max_orders_per_minute: int = 30
    max_orders_per_day: int = 0
    max_correlated_ratio: float = 0.0
    max_daily_loss_ratio: float = 0.0
    max_drawdown_ratio: float = 0.0
    price_band_ratio: float = 0.05
    protections: Rules = Rules()


@dataclass(frozen=True, kw_only=True, slots=True)
class StopPolicy:
    """How positions of one asset type are given up.

    `rule` reads it from the parameters of the workflow that trades; `bars` is the timeframe its noise is measured on.
    `acts` False: a level that is passed tells a person and closes nothing.
    """

    rule: Callable[[Mapping[str, Any]], StopRule]
    bars: str = "1m"
    acts: bool = True


_NO_OPINION = StopPolicy(
    rule=lambda params: StopRule(multiple=1.0, low=0.25, high=0.25, trails=False), acts=False
)

_specs: dict[str, AccountSpec] = {}
_stops: dict[str, StopPolicy] = {}


def register_account(spec: AccountSpec) -> None:
    """Add a spec. Raises ValueError when the asset type has another one or a number makes no sense."""
    if spec.opening_balance <= 0 or spec.max_leverage <= 0 or spec.max_position_ratio <= 0:
        raise ValueError(f"{spec.asset_type}: balance, leverage and position ratio must be above 0")
    if spec.max_order_notional < 0 or spec.max_orders_per_minute < 1:
        raise ValueError(f"{spec.asset_type}: limits must not be negative and a minute must allow an order")
    known = _specs.get(spec.asset_type)
    if known is not None and known != spec:
        raise ValueError(f"The account of {spec.asset_type!r} is registered twice")
    _specs[spec.asset_type] = spec


def unregister_account(asset_type: str) -> None:
    """For tests that register a toy type."""
    _specs.pop(asset_type, None)


def register_stop(asset_type: str, policy: StopPolicy) -> None:
    """Say how an asset type gives positions up. A second, other policy is refused with ValueError."""
    if _stops.setdefault(asset_type, policy) != policy:
        raise ValueError(f"The stops of {asset_type!r} are registered twice")


def stop_policy(asset_type: str) -> StopPolicy:
    """The policy of a type; one that never registered gets a warning at a quarter below the entry."""
    return _stops.get(asset_type, _NO_OPINION)


def protections(asset_type: str) -> Rules:
    """What locks entries of a type; nothing for one that never registered."""
    spec = _specs.get(asset_type)
    return spec.protections if spec is not None else Rules()


def account_specs() -> tuple[AccountSpec, ...]:
    return tuple(_specs.values())
