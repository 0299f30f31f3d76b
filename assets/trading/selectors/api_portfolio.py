"""The portfolio as the API shows it. The numbers are those of `books`, which the pages show, too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from assets.markets.selectors.pages import is_demo_feed
from assets.trading.models import Account
from assets.trading.selectors import books, stops
from assets.trading.selectors.api_orders import Mode
from assets.trading.selectors.valuation import PositionRow
from tradingsite.foundation.api.shapes import OneOf

Currency = Annotated[str, "in which the amounts are told"]


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountItem:
    """One account and what it is worth, in its own currency."""

    account: str
    asset_type: str
    mode: Mode
    is_demo: bool
    state: Annotated[str, OneOf(*Account.State.values)]
    currency: Currency
    equity: Decimal
    cash: Decimal
    unrealised: Decimal
    realised: Annotated[Decimal, "after fees"]
    exposure: Annotated[Decimal, "gross"]
    drawdown: Annotated[float, "0 to 1, from the highest equity"]
    opening_balance: Decimal
    today: Annotated[Decimal | None, "since the start of the UTC day"]
    positions: Annotated[int, "open ones"]
    stale: Annotated[bool, "a price was too old or missing; then the position counts at cost"]
    unconverted: Annotated[list[str], "assets without a rate, left out"]
    assumes_parity: Annotated[bool, "a dollar coin was counted as one dollar"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TotalItem:
    """Sum over the accounts of one mode and currency. Nothing else is ever added up."""

    mode: Mode
    currency: Currency
    accounts: int
    equity: Decimal
    today: Decimal | None
    unrealised: Decimal
    exposure: Decimal
    stale: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Excluded:
    """Accounts that are left out, and why: those of the demo while real prices come in, and the other way round."""

    reason: Annotated[str, OneOf("demo", "not_demo")]
    accounts: list[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Portfolio:
    """What the accounts in use are worth. `is_demo`: simulated prices, play money."""

    is_demo: bool
    accounts: list[AccountItem]
    totals: list[TotalItem]
    excluded: Excluded


@dataclass(frozen=True, kw_only=True, slots=True)
class PositionItem:
    """One open position. Amounts in the quote asset unless said; null is unknown, never zero."""

    account: str
    asset_type: str
    mode: Mode
    is_demo: bool
    symbol: str
    base: str
    quote: str
    quantity: Annotated[Decimal, "signed: short is negative"]
    average_price: Decimal | None
    price: Decimal | None
    price_at: datetime | None
    cost: Decimal
    value: Decimal | None
    unrealised: Decimal | None
    realised: Decimal
    fees: Decimal
    currency: Annotated[str, "of the account"]
    value_in_currency: Decimal | None
    opened_at: datetime | None
    stale: bool
    stop: Annotated[float | None, "level of the stop; null until it is placed"]
    stop_acts: Annotated[bool, "false: passing the level is told, nothing is sold"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Positions:
    """All open positions of the accounts in use."""

    is_demo: bool
    results: list[PositionItem]


def portfolio(now: datetime, asset_type: str = "", mode: str = "") -> Portfolio:
    """A fixed number of queries."""
    found = _books(now, asset_type, mode)
    is_demo = is_demo_feed()
    others = Account.objects.filter(is_demo=not is_demo).values_list("name", flat=True)
    return Portfolio(
        is_demo=is_demo,
        accounts=[_account(book, is_demo) for book in found],
        totals=_totals(found),
        excluded=Excluded(reason="not_demo" if is_demo else "demo", accounts=list(others)),
    )


def positions(now: datetime, asset_type: str = "", mode: str = "", symbol: str = "") -> Positions:
    """A fixed number of queries."""
    is_demo, kept = is_demo_feed(), stops.open_stops()
    rows = [
        _position(book, row, kept.get((row.account_id, row.instrument_id)), is_demo)
        for book in _books(now, asset_type, mode)
        for row in book.open_rows
        if symbol in ("", row.symbol)
    ]
    return Positions(is_demo=is_demo, results=rows)


def _books(now: datetime, asset_type: str, mode: str) -> list[books.AccountBook]:
    return [book for book in books.all_books(now, asset_type) if mode in ("", book.mode)]


def _account(book: books.AccountBook, is_demo: bool) -> AccountItem:
    worth = book.equity
    return AccountItem(
        account=book.name, asset_type=book.asset_type, mode=book.mode, is_demo=is_demo, state=book.state,
        currency=book.currency, equity=worth.equity, cash=worth.cash, unrealised=worth.unrealised,
        realised=worth.realised, exposure=worth.exposure, drawdown=worth.drawdown,
        opening_balance=book.opening_balance, today=book.today, positions=len(book.open_rows), stale=worth.stale,
        unconverted=list(worth.unconverted), assumes_parity=worth.assumes_parity,
    )  # fmt: skip


def _totals(found: Sequence[books.AccountBook]) -> list[TotalItem]:
    """The blocks of `books.totals`, each mode by itself so that it can be named."""
    items = []
    for mode in dict.fromkeys(book.mode for book in found):
        for block in books.totals(tuple(book for book in found if book.mode == mode)):
            items.append(
                TotalItem(
                    mode=mode, currency=block.currency, accounts=block.accounts, equity=block.equity,
                    today=block.today, unrealised=block.unrealised, exposure=block.exposure, stale=block.is_stale,
                )
            )  # fmt: skip
    return items


def _position(
    book: books.AccountBook, row: PositionRow, stop: stops.StopRow | None, is_demo: bool
) -> PositionItem:
    same: dict[str, Any] = {
        name: getattr(row, name)
        for name in (
            "symbol", "base", "quote", "quantity", "average_price", "price", "price_at", "cost", "value", "unrealised",
            "realised", "fees", "value_in_currency", "opened_at", "stale",
        )
    }  # fmt: skip
    return PositionItem(
        account=book.name,
        asset_type=book.asset_type,
        mode=book.mode,
        is_demo=is_demo,
        currency=book.currency,
        stop=None if stop is None else stop.level,
        stop_acts=stop is not None and stop.acts,
        **same,
    )
