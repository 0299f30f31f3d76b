"""The worth of all accounts at once: the same calculation as `valuation`, in a fixed number of queries."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Exists, OuterRef, Subquery

from assets.markets import hub
from assets.markets.selectors.pages import is_demo_feed
from assets.trading.market import look_at
from assets.trading.models import Account, EquityPoint, JournalLine, LedgerAccount, Position
from assets.trading.selectors import curves, valuation
from tradingsite.foundation.fields import ExactSum


@dataclass(frozen=True, slots=True)
class AccountBook:
    """One account, its open positions and what it was worth at the start of the day."""

    pk: int
    name: str
    asset_type: str
    mode: str
    state: str
    currency: str
    opening_balance: Decimal
    equity: valuation.Equity
    rows: tuple[valuation.PositionRow, ...]
    day_start: Decimal | None
    account: Account = field(compare=False, repr=False)

    @property
    def open_rows(self) -> tuple[valuation.PositionRow, ...]:
        return tuple(row for row in self.rows if row.quantity)

    @property
    def today(self) -> Decimal | None:
        """Profit since the start of the UTC day, None on the first day without a point."""
        return None if self.day_start is None else self.equity.equity - self.day_start

    @property
    def total(self) -> Decimal:
        return self.equity.equity - self.opening_balance

    @property
    def total_ratio(self) -> Decimal | None:
        return self.total / self.opening_balance if self.opening_balance else None

    @property
    def today_ratio(self) -> Decimal | None:
        return self.today / self.day_start if self.today is not None and self.day_start else None

    @property
    def exposure_ratio(self) -> Decimal | None:
        return self.equity.exposure / self.equity.equity if self.equity.equity > 0 else None


def all_books(now: datetime, asset_type: str = "", known: hub.Known | None = None) -> tuple[AccountBook, ...]:
    """Accounts of the world in force (demo or not; never mixed), in a fixed number of queries."""
    accounts = _accounts(now, asset_type)
    if not accounts:
        return ()
    pks = [account.pk for account in accounts]
    positions: dict[int, list[Position]] = defaultdict(list)
    for position in Position.objects.filter(account_id__in=pks).select_related("instrument").order_by("pk"):
        positions[position.account_id].append(position)
    held = {p.instrument_id: p.instrument for group in positions.values() for p in group if p.quantity}
    looks = dict(look_at(held.values(), now, known))
    foreign = _foreign_fees([account.pk for account in accounts if account.has_foreign_fees])
    books = []
    for account in accounts:
        mine = positions[account.pk]
        watched = {p.instrument_id: p.instrument for p in mine if p.quantity}
        assets = {p.instrument.quote for p in mine} | foreign[account.pk].keys()
        rates = valuation._rates(account, watched, looks, assets, now)
        rows = tuple(valuation._row(position, looks.get(position.instrument_id), rates) for position in mine)
        peak: Decimal | None = account.last_peak
        equity = valuation._equity(account, rows, foreign[account.pk], rates, peak, now)
        books.append(
            AccountBook(
                account.pk, account.name, account.asset_type, _mode(account), account.state, account.currency,
                account.opening_balance, equity, rows, account.day_start, account,
            )
        )  # fmt: skip
    return tuple(books)


def _mode(account: Account) -> str:
    """An account at a venue that is not switched to live has real money that is not traded: in no total but its own."""
    idle = account.broker != "paper" and account.mode == Account.Mode.PAPER
    return "off" if idle else str(account.mode)


def _accounts(now: datetime, asset_type: str) -> list[Any]:
    """Accounts with `last_peak`, `day_start` and `has_foreign_fees` beside their fields."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    newest = EquityPoint.objects.filter(account=OuterRef("pk")).order_by("-at")
    # The newest point at or before midnight; on the first day the first point there is.
    before = EquityPoint.objects.filter(account=OuterRef("pk"), at__lte=midnight).order_by("-at")
    rows = Account.objects.filter(is_demo=is_demo_feed())
    if asset_type:
        rows = rows.filter(asset_type=asset_type)
    rows = rows.annotate(
        last_peak=Subquery(newest.values("peak")[:1]),
        day_start=Subquery(before.values("equity")[:1]),
        has_foreign_fees=Exists(LedgerAccount.objects.filter(account=OuterRef("pk"), kind="foreign_fees")),
    )
    accounts: list[Any] = list(rows)
    for account in accounts:
        if account.day_start is None and account.created_at >= midnight:
            account.day_start = account.opening_balance
    return accounts


def _foreign_fees(pks: list[int]) -> dict[int, dict[str, Decimal]]:
    """By account and asset. Hardly any account ever paid one: then nothing is asked."""
    if not pks:
        return defaultdict(dict)
    lines = JournalLine.objects.filter(
        ledger_account__account_id__in=pks, ledger_account__kind="foreign_fees", journal__posted=True
    )
    grouped = lines.order_by().values_list("ledger_account__account_id", "ledger_account__asset")
    found: dict[int, dict[str, Decimal]] = defaultdict(dict)
    for account, asset, total in grouped.annotate(total=ExactSum("amount")):
        found[account][asset] = total
    return found


def drawn(books: tuple[AccountBook, ...]) -> tuple[str, dict[int, str]]:
    """`curves.drawn` from accounts already read. No query."""
    return curves.most_of(
        (book.pk, book.name, book.currency) for book in books if book.mode == Account.Mode.PAPER
    )


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over accounts of one currency. Accounts of other currencies are never added in; they are told apart."""

    mode: str
    currency: str
    accounts: int
    equity: Decimal
    today: Decimal | None
    total: Decimal
    opening: Decimal
    unrealised: Decimal
    exposure: Decimal
    drawdown: float
    positions: int
    is_stale: bool
    assumes_parity: bool
    unconverted: tuple[str, ...]

    @property
    def total_ratio(self) -> Decimal | None:
        return self.total / self.opening if self.opening else None

    @property
    def today_ratio(self) -> Decimal | None:
        start = self.equity - self.today if self.today is not None else None
        return self.today / start if self.today is not None and start else None

    @property
    def exposure_ratio(self) -> Decimal | None:
        return self.exposure / self.equity if self.equity > 0 else None


def totals(books: tuple[AccountBook, ...]) -> tuple[Totals, ...]:
    """One block per mode and currency: live and paper are never summed, nor are two currencies."""
    groups: dict[tuple[str, str], list[AccountBook]] = defaultdict(list)
    for book in books:
        groups[(book.mode, book.currency)].append(book)
    shown = []
    for (mode, currency), group in groups.items():
        today = [book.today for book in group if book.today is not None]
        shown.append(
            Totals(
                mode=mode,
                currency=currency,
                accounts=len(group),
                equity=sum((book.equity.equity for book in group), Decimal(0)),
                today=sum(today, Decimal(0)) if today else None,
                total=sum((book.total for book in group), Decimal(0)),
                opening=sum((book.opening_balance for book in group), Decimal(0)),
                unrealised=sum((book.equity.unrealised for book in group), Decimal(0)),
                exposure=sum((book.equity.exposure for book in group), Decimal(0)),
                drawdown=max((book.equity.drawdown for book in group), default=0.0),
                positions=sum(len(book.open_rows) for book in group),
                is_stale=any(book.equity.stale for book in group),
                assumes_parity=any(book.equity.assumes_parity for book in group),
                unconverted=tuple(sorted({asset for book in group for asset in book.equity.unconverted})),
            )
        )
    return tuple(sorted(shown, key=lambda block: -block.equity))
