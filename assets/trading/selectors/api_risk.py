"""Risk as the API shows it: the numbers of the page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated

from assets.trading.models import Account
from assets.trading.selectors import risk as reads
from assets.trading.selectors.api_orders import Mode
from tradingsite.foundation.api.shapes import OneOf
from tradingsite.foundation.errors import NotFound


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One part of the score, 0 to 100. `known` false: the figure is missing and counts as three quarters."""

    name: str
    value: float
    known: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Use:
    """How full a limit is; null: no limit, or not known."""

    limit: str
    used: float | None
    share: Annotated[float | None, "of the limit; entries are refused from 1 on"]
    state: Annotated[str, OneOf("none", "ok", "near", "full")]


@dataclass(frozen=True, kw_only=True, slots=True)
class LockItem:
    """A protection in force: no entries into `subject` (a symbol, or * for all) until then."""

    kind: Annotated[str, OneOf("cooldown", "stop_guard", "max_drawdown", "low_profit")]
    subject: str
    until: datetime
    value: float
    limit: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Stress:
    """What would be gained (below 0: lost) in a case; `gain` over equity."""

    case: str
    gain: float
    amount: Decimal


@dataclass(frozen=True, kw_only=True, slots=True)
class RiskItem:
    """The risk of one account. Ratios over equity; null is unknown."""

    account: str
    asset_type: str
    mode: Mode
    state: Annotated[str, OneOf(*Account.State.values)]
    currency: str
    equity: Decimal
    score: Annotated[float, "0 to 100"]
    parts: list[Part]
    value_at_risk: Annotated[float | None, "of a day, 95 %, historical"]
    expected_shortfall: Annotated[float | None, "of a day, 95 %"]
    samples: int
    uses: list[Use]
    locks: list[LockItem]
    stress: list[Stress]


@dataclass(frozen=True, kw_only=True, slots=True)
class Risk:
    """All accounts in use."""

    accounts: list[RiskItem]


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Limits of an account; ratios over equity, 0 is no limit where that is possible."""

    account: str
    max_order_notional: Decimal
    max_position_ratio: float
    max_leverage: float
    max_correlated_ratio: float
    max_daily_loss_ratio: float
    max_drawdown_ratio: float
    price_band_ratio: float
    max_orders_per_minute: int
    max_orders_per_day: int
    allows_short: bool
    allowed_symbols: list[str]


def risk(now: datetime, account: str = "") -> Risk:
    """What `manage.py risk` and the page say."""
    return Risk(accounts=[_item(row) for row in reads.assess(now) if account in ("", row.account)])


def _item(row: reads.AccountRisk) -> RiskItem:
    return RiskItem(
        account=row.account, asset_type=row.asset_type, mode=row.mode, state=row.state, currency=row.currency,
        equity=row.equity, score=round(row.score, 2), value_at_risk=row.value_at_risk,
        expected_shortfall=row.shortfall, samples=row.samples,
        parts=[Part(name=k, value=round(v, 2), known=k not in row.unknown) for k, v in row.parts.items()],
        uses=[Use(limit=use.name, used=use.used, share=use.share, state=use.state) for use in row.limits],
        locks=[
            LockItem(kind=lock.kind, subject=lock.subject, until=lock.until, value=lock.value, limit=lock.limit)
            for lock in row.locks
        ],
        stress=[Stress(case=case.name, gain=case.gain, amount=case.amount) for case in row.stress],
    )  # fmt: skip


def limits_of(name: str) -> Limits:
    """Raises NotFound."""
    row = Account.objects.filter(name=name).first()
    if row is None:
        raise NotFound(f"There is no account {name[:64]!r}.")
    return Limits(
        account=row.name, max_order_notional=row.max_order_notional, max_position_ratio=row.max_position_ratio,
        max_leverage=row.max_leverage, max_correlated_ratio=row.max_correlated_ratio,
        max_daily_loss_ratio=row.max_daily_loss_ratio, max_drawdown_ratio=row.max_drawdown_ratio,
        price_band_ratio=row.price_band_ratio, max_orders_per_minute=row.max_orders_per_minute,
        max_orders_per_day=row.max_orders_per_day, allows_short=row.allows_short,
        allowed_symbols=list(row.allowed_symbols),
    )  # fmt: skip
