"""Orders and fills as the API shows them. Amounts are exact decimals."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Final

from django.db.models import QuerySet

from assets.markets.selectors.pages import is_demo_feed
from assets.trading.models import Account, Fill, Order
from tradingsite.foundation.api.shapes import OneOf

STATUSES: Final = tuple(Order.Status.values)
MODES: Final = (*Account.Mode.values, "off")  # off: at a venue, not switched to live
Mode = Annotated[str, OneOf(*MODES)]
Side = Annotated[str, OneOf("buy", "sell")]


@dataclass(frozen=True, kw_only=True, slots=True)
class ReasonItem:
    """Why an order was wanted: a code with its value."""

    code: str
    value: Any
    params: dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderItem:
    """One order. Quantities in the base asset, prices in the quote asset."""

    id: int
    client_id: str
    venue_id: str
    account: str
    asset_type: str
    mode: Mode
    is_demo: bool
    symbol: str
    quote: str
    side: Side
    type: Annotated[str, OneOf("market", "limit")]
    quantity: Decimal
    filled_quantity: Decimal
    limit_price: Decimal | None
    reference_price: Annotated[Decimal, "what the decision saw"]
    reduces: Annotated[bool, "only shrinks a position"]
    status: Annotated[str, OneOf(*STATUSES)]
    status_code: Annotated[str, "why it was denied, rejected or expired"]
    status_detail: dict[str, Any]
    reasons: list[ReasonItem]
    workflow: Annotated[str, "slug; empty for orders of a person"]
    run_id: int | None
    created_at: datetime
    sent_at: datetime | None
    accepted_at: datetime | None
    finished_at: datetime | None
    valid_until: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class FillItem:
    """One execution. `realised` is before fees, in the quote asset."""

    id: int
    order_id: int
    trade_id: str
    account: str
    asset_type: str
    mode: Mode
    is_demo: bool
    symbol: str
    quote: str
    side: Side
    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_asset: str
    realised: Decimal
    slippage_bps: Annotated[float | None, "against the reference price, positive is worse"]
    at: datetime
    booked_at: datetime


def orders(
    *,
    demo: bool | None = None,
    mode: str = "",
    asset_type: str = "",
    account: str = "",
    symbol: str = "",
    side: str = "",
    status: Iterable[str] = (),
    workflow: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
) -> QuerySet[Order]:
    """Orders made in [since, until); without `demo` those of the accounts in use now."""
    found = Order.objects.select_related("intent", "account", "instrument")
    found = _narrowed(found, demo, mode, asset_type, account, symbol, side)
    if status:
        found = found.filter(status__in=list(status))
    if workflow:
        found = found.filter(intent__workflow_slug=workflow)
    if since is not None:
        found = found.filter(created_at__gte=since)
    return found.filter(created_at__lt=until) if until is not None else found


def fills(
    *,
    demo: bool | None = None,
    mode: str = "",
    asset_type: str = "",
    account: str = "",
    symbol: str = "",
    side: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
) -> QuerySet[Fill]:
    """Executions in [since, until); without `demo` those of the accounts in use now."""
    found = Fill.objects.select_related("account", "instrument")
    found = _narrowed(found, demo, mode, asset_type, account, symbol, side)
    if since is not None:
        found = found.filter(at__gte=since)
    return found.filter(at__lt=until) if until is not None else found


def _narrowed(
    found: QuerySet[Any], demo: bool | None, mode: str, asset_type: str, account: str, symbol: str, side: str
) -> QuerySet[Any]:
    found = found.filter(account__is_demo=is_demo_feed() if demo is None else demo)
    named = {
        "account__mode": mode, "account__asset_type": asset_type, "account__name": account,
        "instrument__symbol": symbol, "side": side,
    }  # fmt: skip
    return found.filter(**{field: value for field, value in named.items() if value})


def item_of(pk: int) -> OrderItem:
    """One order by its id."""
    return order_item(Order.objects.select_related("intent", "account", "instrument").get(pk=pk))


def order_item(row: Order) -> OrderItem:
    """The row of an order read with its intent, account and instrument."""
    intent, account = row.intent, row.account
    return OrderItem(
        id=row.pk, client_id=row.client_id, venue_id=row.venue_id, account=account.name, asset_type=account.asset_type,
        mode=account.mode, is_demo=account.is_demo, symbol=row.instrument.symbol, quote=row.instrument.quote,
        side=row.side, type=intent.order_type, quantity=row.quantity, filled_quantity=row.filled_quantity,
        limit_price=intent.limit_price, reference_price=intent.reference_price, reduces=intent.reduces,
        status=row.status, status_code=row.status_code, status_detail=row.status_detail,
        reasons=[_reason(reason) for reason in intent.reasons], workflow=intent.workflow_slug, run_id=intent.run_id,
        created_at=row.created_at, sent_at=row.sent_at, accepted_at=row.accepted_at, finished_at=row.finished_at,
        valid_until=intent.valid_until,
    )  # fmt: skip


def fill_item(row: Fill) -> FillItem:
    """The row of a fill read with its account and instrument."""
    account = row.account
    return FillItem(
        id=row.pk, order_id=row.order_id, trade_id=row.trade_id, account=account.name, asset_type=account.asset_type,
        mode=account.mode, is_demo=account.is_demo, symbol=row.instrument.symbol, quote=row.instrument.quote,
        side=row.side, quantity=row.quantity, price=row.price, fee=row.fee, fee_asset=row.fee_asset,
        realised=row.realised, slippage_bps=row.slippage_bps, at=row.at, booked_at=row.booked_at,
    )  # fmt: skip


def _reason(reason: dict[str, Any]) -> ReasonItem:
    params = reason.get("params")
    return ReasonItem(
        code=str(reason.get("code", "")),
        value=reason.get("value"),
        params=params if isinstance(params, dict) else {},
    )
