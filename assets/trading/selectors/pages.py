"""Reads shaped for pages: positions, orders, trades, equity curves, marks on the chart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from assets.markets.selectors.pages import is_demo_feed
from assets.trading import reasons as reason_texts
from assets.trading.models import Account, Fill, Flattening, Order, Position
from assets.trading.selectors.stops import StopRow, open_stops
from assets.trading.selectors.words import code_words
from orchestrator.selectors.pages import Page, page_of
from tradingsite.foundation import said
from tradingsite.foundation.errors import NotFound
from tradingsite.foundation.money import EXACT, to_decimal
from tradingsite.foundation.web import pulse, version_of

PAGE_SIZE: Final = 50
CHUNK: Final = 500
ACTIVE: Final = (Order.Status.NEW, Order.Status.SENDING, *Order.WORKING, Order.Status.UNKNOWN)


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderRow:
    """One order as lists show it. Amounts in the instrument's quote currency."""

    pk: int
    symbol: str
    instrument_pk: int
    asset_type: str
    account: str
    mode: str
    side: str
    order_type: str
    quantity: Decimal
    filled: Decimal
    limit_price: Decimal | None
    reference_price: Decimal
    status: str
    code: str
    client_id: str
    venue_id: str
    workflow_slug: str
    run_pk: int | None
    reduces: bool
    created_at: datetime
    finished_at: datetime | None
    tick_size: Decimal
    lot_step: Decimal
    quote: str

    @property
    def is_bad(self) -> bool:
        return self.status in ("rejected", "unknown")

    @property
    def can_cancel(self) -> bool:
        return self.status in ("new", "accepted", "partially_filled", "cancel_pending")


@dataclass(frozen=True, kw_only=True, slots=True)
class FillRow:
    """One execution."""

    pk: int
    at: datetime
    symbol: str
    instrument_pk: int
    account: str
    side: str
    quantity: Decimal
    price: Decimal
    notional: Decimal
    fee: Decimal
    fee_asset: str
    realised: Decimal
    slippage_bps: float | None
    order_pk: int
    trade_id: str
    quote: str
    tick_size: Decimal
    lot_step: Decimal


def _mine() -> Q:
    return Q(account__is_demo=is_demo_feed())


def exposure_counts() -> Mapping[str, int]:
    """Open positions, working orders and whether positions are being flattened, for the stop dialog. Three queries."""
    return {
        "positions": Position.objects.filter(_mine(), opened_at__isnull=False).count(),
        "orders": Order.objects.filter(_mine(), status__in=ACTIVE).count(),
        "flattening": Flattening.objects.filter(status=Flattening.Status.WORKING).count(),
    }


def has_live_account() -> bool:
    return Account.objects.filter(mode=Account.Mode.LIVE).exists()


TRADING_PULSE: Final = (
    "SELECT MAX(id) FROM trading_order",
    "SELECT MAX(finished_at) FROM trading_order",
    "SELECT COUNT(*) FROM trading_order WHERE status IN "
    "('new', 'sending', 'accepted', 'partially_filled', 'cancel_pending', 'unknown')",
    "SELECT MAX(id) FROM trading_fill",
    "SELECT MAX(updated_at) FROM trading_position",
    "SELECT MAX(moved_at) FROM trading_protectivestop",
)


def version() -> str:
    """Changes with every order, fill and position. One query."""
    return version_of(*pulse(*TRADING_PULSE))


def orders(
    *, number: int = 1, scope: str = "", run_pk: int | None = None, instrument_pk: int | None = None,
    asset_type: str = "", size: int = PAGE_SIZE,
) -> Page:  # fmt: skip
    """Newest first. `scope` active, done or trouble. One query."""
    rows = _orders(scope=scope, run_pk=run_pk, instrument_pk=instrument_pk, asset_type=asset_type)
    start = (number - 1) * size
    return page_of([_order(row) for row in rows[start : start + size + 1]], number, size)


def every_order(*, scope: str = "", run_pk: int | None = None) -> Iterator[OrderRow]:
    """All that match, newest first, read while they are used."""
    return map(_order, _orders(scope=scope, run_pk=run_pk).iterator(CHUNK))


def _orders(
    *, scope: str, run_pk: int | None, instrument_pk: int | None = None, asset_type: str = ""
) -> QuerySet[Order]:
    rows = Order.objects.filter(_mine()).select_related("instrument", "account", "intent")
    rows = rows.defer("status_detail", "intent__reasons", "intent__sizing")
    if scope == "active":
        rows = rows.filter(status__in=ACTIVE)
    elif scope == "done":
        rows = rows.exclude(status__in=ACTIVE)
    elif scope == "trouble":
        rows = rows.filter(
            status__in=(
                Order.Status.REJECTED,
                Order.Status.DENIED,
                Order.Status.UNKNOWN,
                Order.Status.EXPIRED,
            )
        )
    if run_pk is not None:
        rows = rows.filter(intent__run_id=run_pk)
    if instrument_pk is not None:
        rows = rows.filter(instrument_id=instrument_pk)
    if asset_type:
        rows = rows.filter(account__asset_type=asset_type)
    return rows


def _order(row: Order) -> OrderRow:
    return OrderRow(
        pk=row.pk,
        symbol=row.instrument.symbol,
        instrument_pk=row.instrument_id,
        asset_type=row.account.asset_type,
        account=row.account.name,
        mode=row.account.mode,
        side=row.side,
        order_type=row.intent.order_type,
        quantity=row.quantity,
        filled=row.filled_quantity,
        limit_price=row.intent.limit_price,
        reference_price=row.intent.reference_price,
        status=row.status,
        code=code_words(row.status_code) if row.status_code else "",
        client_id=row.client_id,
        venue_id=row.venue_id,
        workflow_slug=row.intent.workflow_slug,
        run_pk=row.intent.run_id,
        reduces=row.intent.reduces,
        created_at=row.created_at,
        finished_at=row.finished_at,
        tick_size=row.instrument.tick_size,
        lot_step=row.instrument.lot_step,
        quote=row.instrument.quote,
    )


@dataclass(frozen=True, slots=True)
class OrderDetail:
    """An order with why it exists, how it was sized, what happened and what was filled."""

    row: OrderRow
    reasons: tuple[str, ...]
    sizing: tuple[said.Fact, ...]
    detail: tuple[said.Fact, ...]
    events: tuple[Mapping[str, Any], ...]
    fills: tuple[FillRow, ...]
    sent_at: datetime | None
    accepted_at: datetime | None
    valid_until: datetime


def order_detail(pk: int) -> OrderDetail:
    """Raises NotFound."""
    row = Order.objects.select_related("instrument", "account", "intent").filter(_mine(), pk=pk).first()
    if row is None:
        raise NotFound(_("There is no order %(id)s.") % {"id": pk})
    reasons = tuple(reason_texts.sentence(reason) for reason in row.intent.reasons)
    return OrderDetail(
        row=_order(row),
        reasons=reasons,
        sizing=said.facts(row.intent.sizing),
        detail=said.facts(row.status_detail),
        events=tuple(row.events.order_by("at", "pk").values("event", "from_status", "to_status", "at")),
        fills=tuple(_fill(fill) for fill in row.fills.select_related("instrument", "account")),
        sent_at=row.sent_at,
        accepted_at=row.accepted_at,
        valid_until=row.intent.valid_until,
    )


def fills(
    *, number: int = 1, instrument_pk: int | None = None, asset_type: str = "", size: int = PAGE_SIZE
) -> Page:
    """Newest first. One query."""
    rows = Fill.objects.filter(_mine()).select_related("instrument", "account")
    if instrument_pk is not None:
        rows = rows.filter(instrument_id=instrument_pk)
    if asset_type:
        rows = rows.filter(account__asset_type=asset_type)
    start = (number - 1) * size
    return page_of([_fill(row) for row in rows[start : start + size + 1]], number, size)


def every_fill() -> Iterator[FillRow]:
    """All of them, newest first, read while they are used."""
    return map(_fill, Fill.objects.filter(_mine()).select_related("instrument", "account").iterator(CHUNK))


def _fill(row: Fill) -> FillRow:
    return FillRow(
        pk=row.pk,
        at=row.at,
        symbol=row.instrument.symbol,
        instrument_pk=row.instrument_id,
        account=row.account.name,
        side=row.side,
        quantity=row.quantity,
        price=row.price,
        notional=row.quantity * row.price,
        fee=row.fee,
        fee_asset=row.fee_asset,
        realised=row.realised,
        slippage_bps=row.slippage_bps,
        order_pk=row.order_id,
        trade_id=row.trade_id,
        quote=row.instrument.quote,
        tick_size=row.instrument.tick_size,
        lot_step=row.instrument.lot_step,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldRow:
    """An open position in one instrument, valued at a price the caller has. Amounts in the quote currency."""

    account: str
    quantity: Decimal
    average_price: Decimal
    value: Decimal | None
    unrealised: Decimal | None
    realised: Decimal
    fees: Decimal
    opened_at: datetime | None
    stop: StopRow | None


def held(instrument_pk: int, price: float | None) -> HeldRow | None:
    """The open position in an instrument, if any, with its stop. Two queries at most."""
    rows = Position.objects.filter(_mine(), instrument_id=instrument_pk, opened_at__isnull=False)
    row = rows.select_related("account").first()
    if row is None or not row.quantity:
        return None
    value = None if price is None else EXACT.multiply(row.quantity, to_decimal(price))
    return HeldRow(
        account=row.account.name,
        quantity=row.quantity,
        average_price=row.cost / row.quantity,
        value=value,
        unrealised=None if value is None else value - row.cost,
        realised=row.realised,
        fees=row.fees,
        opened_at=row.opened_at,
        stop=open_stops(instrument_pk).get((row.account_id, instrument_pk)),
    )


def marks(instrument_pk: int, since: datetime, limit: int = 400) -> list[dict[str, Any]]:
    """Fills of an instrument for the chart, oldest first; quantities and prices as text, they are money."""
    rows = Fill.objects.filter(_mine(), instrument_id=instrument_pk, at__gte=since).order_by("-at")[:limit]
    return [
        {
            "ts": int(row.at.timestamp()),
            "side": row.side,
            "price": str(row.price),
            "quantity": str(row.quantity),
            "order": row.order_id,
        }
        for row in reversed(rows)
    ]
