"""What an account is worth: positions times prices, converted exactly. A handful of queries whatever its
history.

The position rows carry the whole cash flow (cost - realised + fees is what left the cash of the quote
currency), so equity needs no sum over the ledger. Invariants I2 and I7 compare the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from assets.markets import hub
from assets.markets.models import Instrument
from assets.trading.market import Look, look_at
from assets.trading.models import Account, EquityPoint, JournalLine, LedgerAccount, Position
from assets.trading.rates import Edge, Rates
from tradingsite.foundation import statements
from tradingsite.foundation.fields import ExactSum
from tradingsite.foundation.money import EXACT, round_half_even

ZERO = Decimal(0)
UNIT = Decimal("1e-8")
_POSITIONS = (
    "FROM trading_position a JOIN markets_instrument b ON b.id = a.instrument_id "
    "WHERE a.account_id = %s ORDER BY a.id"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class PositionRow:
    """One position, valued. Amounts in `quote` unless said; None is unknown (no price, no conversion)."""

    account_id: int
    instrument_id: int
    symbol: str
    asset_type: str
    base: str
    quote: str
    quantity: Decimal
    cost: Decimal
    average_price: Decimal | None
    price: Decimal | None
    price_at: datetime | None
    value: Decimal | None  # signed, quote
    unrealised: Decimal | None
    realised: Decimal
    fees: Decimal
    rate: Decimal | None  # quote -> account currency
    value_in_currency: Decimal | None
    opened_at: datetime | None
    stale: bool

    @property
    def closing(self) -> str:
        """The quantity that closes it, as a form wants it."""
        return f"{abs(self.quantity):f}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Equity:
    """Worth of an account in `currency`. `realised` is after fees. `exposure` is gross. `drawdown` 0..1 from
    the highest point.

    `stale`: a price was too old or missing (then the position counts at cost). `unconverted`: assets with no
    rate, left out. `assumes_parity`: a dollar coin was counted as one dollar.
    """

    account_id: int
    currency: str
    at: datetime
    equity: Decimal
    cash: Decimal
    unrealised: Decimal
    realised: Decimal
    exposure: Decimal
    drawdown: float
    stale: bool
    unconverted: tuple[str, ...] = ()
    assumes_parity: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Book:
    """Everything a decision needs to know about an account at one instant."""

    account: Account
    now: datetime
    equity: Equity
    rows: tuple[PositionRow, ...]  # also closed ones, with quantity 0
    looks: Mapping[int, Look]
    rates: Rates = field(compare=False)

    def row(self, instrument_id: int) -> PositionRow | None:
        return next((row for row in self.rows if row.instrument_id == instrument_id), None)


def load(account: Account, now: datetime, instruments: Iterable[Instrument] = ()) -> Book:
    """The account at `now`, with a look at its open positions and at `instruments`."""
    positions = _positions(account.pk)
    watched = {p.instrument_id: p.instrument for p in positions if p.quantity} | {
        i.pk: i for i in instruments
    }
    looks = dict(look_at(watched.values(), now))
    foreign = foreign_fees(account.pk)
    rates = _rates(account, watched, looks, {p.instrument.quote for p in positions} | foreign.keys(), now)
    rows = tuple(_row(position, looks.get(position.instrument_id), rates) for position in positions)
    equity = _equity(account, rows, foreign, rates, _peak(account.pk), now)
    return Book(account=account, now=now, equity=equity, rows=rows, looks=looks, rates=rates)


def _positions(account_id: int) -> list[Position]:
    found = statements.pairs(Position, Instrument, _POSITIONS, (account_id,))
    for position, instrument in found:
        position.instrument = instrument
    return [position for position, _instrument in found]


def cash_balances(account_id: int) -> dict[str, Decimal]:
    """Holdings per asset according to the ledger (exact sum of posted cash lines; grows with history)."""
    return _sums(account_id, "cash")


def foreign_fees(account_id: int) -> dict[str, Decimal]:
    """Fees paid in an asset that is neither side of the trade. Most accounts never paid one: then nothing is summed,
    and otherwise only these lines."""
    return _sums(account_id, "foreign_fees")


def _sums(account_id: int, kind: str) -> dict[str, Decimal]:
    chart: dict[int, str] = dict(
        statements.values(
            LedgerAccount, ("pk", "asset"), "WHERE account_id = %s AND kind = %s", (account_id, kind)
        )
    )
    if not chart:
        return {}
    lines = JournalLine.objects.filter(ledger_account_id__in=list(chart), journal__posted=True)
    grouped = lines.order_by().values_list("ledger_account_id").annotate(total=ExactSum("amount"))
    return {chart[pk]: total for pk, total in grouped}


def _peak(account_id: int) -> Decimal | None:
    tail = "WHERE account_id = %s ORDER BY at DESC LIMIT 1"
    newest: list[tuple[Decimal]] = statements.values(EquityPoint, ("peak",), tail, (account_id,))
    return newest[0][0] if newest else None


def _rates(
    account: Account,
    watched: dict[int, Instrument],
    looks: dict[int, Look],
    assets: Iterable[str],
    now: datetime,
) -> Rates:
    rates = Rates(account.currency, _edges(watched, looks))
    if all(rates.rate(asset) is not None for asset in assets):
        return rates
    # A currency nobody holds is the bridge (JPY over USDJPY): look at the rest of the universe too.
    rest = {i.pk: i for i in hub.active_instruments(account.asset_type) if i.pk not in watched}
    looks |= look_at(rest.values(), now)
    return Rates(account.currency, _edges(watched | rest, looks))


def _edges(instruments: Mapping[int, Instrument], looks: Mapping[int, Look]) -> list[Edge]:
    return [
        Edge(instrument.base, instrument.quote, price)
        for pk, instrument in instruments.items()
        if (price := looks[pk].price) is not None
    ]


def _row(position: Position, look: Look | None, rates: Rates) -> PositionRow:
    instrument, is_open = position.instrument, bool(position.quantity)
    price = look.price if look and is_open else None
    value = EXACT.multiply(position.quantity, price) if price is not None else (None if is_open else ZERO)
    rate = rates.rate(instrument.quote)
    return PositionRow(
        account_id=position.account_id,
        instrument_id=position.instrument_id,
        symbol=instrument.symbol,
        asset_type=instrument.asset_type,
        base=instrument.base,
        quote=instrument.quote,
        quantity=position.quantity,
        cost=position.cost,
        average_price=position.cost / position.quantity if is_open else None,
        price=price,
        price_at=look.at if look else None,
        value=value,
        unrealised=None if value is None else EXACT.subtract(value, position.cost),
        realised=position.realised,
        fees=position.fees,
        rate=rate,
        value_in_currency=None if value is None or rate is None else value * rate,
        opened_at=position.opened_at,
        stale=is_open and (look is None or not look.usable),
    )


def _equity(
    account: Account,
    rows: tuple[PositionRow, ...],
    foreign: Mapping[str, Decimal],
    rates: Rates,
    peak: Decimal | None,
    now: datetime,
) -> Equity:
    cash, unrealised, realised, exposure, worth = account.opening_balance, ZERO, ZERO, ZERO, ZERO
    unconverted: set[str] = set()
    for row in rows:
        if row.rate is None:
            unconverted.add(row.quote)
            continue
        # Without a price a position counts at cost: known, and said by `stale`.
        value = row.cost if row.value is None else row.value
        cash -= (row.cost - row.realised + row.fees) * row.rate
        realised += (row.realised - row.fees) * row.rate
        unrealised += (value - row.cost) * row.rate
        worth += value * row.rate
        exposure += abs(value) * row.rate
    for asset, amount in foreign.items():
        rate = rates.rate(asset)
        if rate is None:
            unconverted.add(asset)
        else:
            cash -= amount * rate
            realised -= amount * rate
    total = cash + worth
    top = max(peak or total, total)
    return Equity(
        account_id=account.pk,
        currency=account.currency,
        at=now,
        equity=_cents(total),
        cash=_cents(cash),
        unrealised=_cents(unrealised),
        realised=_cents(realised),
        exposure=_cents(exposure),
        drawdown=float(1 - total / top) if top > 0 else 1.0,
        stale=any(row.stale for row in rows),
        unconverted=tuple(sorted(unconverted)),
        assumes_parity=rates.used_parity,
    )


def _cents(amount: Decimal) -> Decimal:
    """Half-even at 1e-8: what is shown and stored of a valuation."""
    return round_half_even(amount, UNIT)
