"""Tax lots of an account's fills, and what was gained by day, instrument and workflow."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

from assets.markets.selectors.pages import is_demo_feed
from assets.quant import fills as model
from assets.quant import lots
from assets.quant.lots import Closed, Lot, LotTrade
from assets.trading.models import Account, Fill
from tradingsite.foundation.errors import Invalid, NotFound
from tradingsite.foundation.money import EXACT

METHODS = lots.METHODS
ZERO = Decimal(0)


@dataclass(frozen=True, kw_only=True, slots=True)
class LotReport:
    """Closed and open lots of one account. Amounts in the quote currency of each instrument."""

    account: str
    method: str
    closed: tuple[Closed, ...]
    open: tuple[Lot, ...]


def report(account: str, method: str = "fifo", year: int | None = None) -> LotReport:
    """Lots of the account called `account`; with `year` only what was closed in it (UTC). Reads every fill once.

    Raises NotFound, Invalid for an unknown method.
    """
    if method not in METHODS:
        raise Invalid(f"A method is one of {', '.join(METHODS)}, was {method!r}.", code="unknown-method")
    row = Account.objects.filter(name=account).first()
    if row is None:
        raise NotFound(f"There is no account {account!r}.")
    found = lots.match(_trades(row), method)
    closed = tuple(c for c in found.closed if year is None or c.closed_at.astimezone(UTC).year == year)
    return LotReport(account=row.name, method=method, closed=closed, open=found.open)


def _trades(account: Account) -> Iterable[LotTrade]:
    rows = Fill.objects.filter(account=account).select_related("instrument").order_by("at", "pk")
    for fill in rows.iterator(chunk_size=2000):
        quantity: Decimal = fill.quantity if fill.side == model.BUY else -fill.quantity
        value, fee = model.cash_value(fill.side, fill.quantity, fill.price), ZERO
        if fill.fee and fill.fee_asset == fill.instrument.quote:
            fee = fill.fee
        elif fill.fee and fill.fee_asset == fill.instrument.base:
            # The venue kept some of the asset itself: there is less of it, for the same money.
            quantity = EXACT.subtract(quantity, fill.fee)
        yield LotTrade(symbol=fill.instrument.symbol, at=fill.at, quantity=quantity, value=value, fee=fee)


@dataclass(frozen=True, kw_only=True, slots=True)
class Gain:
    """Realised in one currency under one heading; `net` after fees in that currency."""

    key: str
    currency: str
    realised: Decimal
    fees: Decimal
    fills: int

    @property
    def net(self) -> Decimal:
        return self.realised - self.fees


def gains(by: str, since: datetime, until: datetime, account: str = "") -> tuple[Gain, ...]:
    """Realised result and fees by `day`, `instrument`, `workflow`, `asset_type` or `account`, newest or largest first.

    Fees in another asset than the quote currency are left out here; the ledger has them.
    """
    keys = {
        "day": "at", "instrument": "instrument__symbol", "workflow": "order__intent__workflow_slug",
        "asset_type": "account__asset_type", "account": "account__name",
    }  # fmt: skip
    if by not in keys:
        raise Invalid(f"Gains can be told by {', '.join(keys)}, not {by!r}.", code="unknown-heading")
    rows = Fill.objects.filter(account__is_demo=is_demo_feed(), at__gte=since, at__lt=until)
    if account:
        rows = rows.filter(account__name=account)
    sums: dict[tuple[str, str], list[Decimal | int]] = {}
    columns = (keys[by], "instrument__quote", "realised", "fee", "fee_asset")
    for key, quote, realised, fee, fee_asset in rows.values_list(*columns).iterator(chunk_size=2000):
        name = _day(key).isoformat() if by == "day" else str(key)
        entry = sums.setdefault((name, quote), [ZERO, ZERO, 0])
        entry[0] = EXACT.add(Decimal(entry[0]), realised)
        entry[1] = EXACT.add(Decimal(entry[1]), fee if fee_asset == quote else ZERO)
        entry[2] += 1
    found = [
        Gain(key=name, currency=quote, realised=Decimal(v[0]), fees=Decimal(v[1]), fills=int(v[2]))
        for (name, quote), v in sums.items()
    ]
    if by == "day":
        return tuple(sorted(found, key=lambda g: (g.key, g.currency), reverse=True))
    return tuple(sorted(found, key=lambda g: (-abs(g.net), g.key)))


def _day(at: datetime) -> date:
    return at.astimezone(UTC).date()
