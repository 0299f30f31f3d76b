"""Orders and trades as files: every row the page's filter lets through, times in UTC, amounts exact."""

from __future__ import annotations

from typing import Final

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _

from assets.quant.lots import Closed
from assets.trading.pages import order_filter
from assets.trading.selectors import pages as reads_
from assets.trading.selectors import tax
from tradingsite.foundation.errors import Invalid
from tradingsite.foundation.web import csv_of, reads

_ORDERS: Final = (
    "id", "created_at", "finished_at", "account", "mode", "asset_type", "symbol", "side", "type", "quantity", "filled",
    "limit_price", "reference_price", "currency", "status", "reason", "reduces", "workflow", "run_id", "client_id",
    "venue_id",
)  # fmt: skip
_TRADES: Final = (
    "id", "at", "account", "symbol", "side", "quantity", "price", "notional", "currency", "fee", "fee_asset",
    "realised", "slippage_bps", "order_id", "trade_id",
)  # fmt: skip


@reads
def orders(request: HttpRequest) -> HttpResponseBase:
    """The orders of the page's filter, all pages of them."""
    _page, scope, run_pk = order_filter(request)
    rows = (
        (
            row.pk, row.created_at, row.finished_at, row.account, row.mode, row.asset_type, row.symbol, row.side,
            row.order_type, row.quantity, row.filled, row.limit_price, row.reference_price, row.quote, row.status,
            row.code, row.reduces, row.workflow_slug, row.run_pk, row.client_id, row.venue_id,
        )
        for row in reads_.every_order(scope=scope, run_pk=run_pk)
    )  # fmt: skip
    return csv_of("orders.csv", _ORDERS, rows)


@reads
def trades(request: HttpRequest) -> HttpResponseBase:
    """Every execution."""
    rows = (
        (
            row.pk, row.at, row.account, row.symbol, row.side, row.quantity, row.price, row.notional, row.quote, row.fee,
            row.fee_asset, row.realised, row.slippage_bps, row.order_pk, row.trade_id,
        )
        for row in reads_.every_fill()
    )  # fmt: skip
    return csv_of("trades.csv", _TRADES, rows)


LOTS: Final = (
    "symbol",
    "opened_at",
    "closed_at",
    "held_days",
    "side",
    "quantity",
    "cost",
    "proceeds",
    "gain",
)


@reads
def lots(request: HttpRequest) -> HttpResponseBase:
    """Closed tax lots of an account: `account`, `method` and `year` in the address."""
    year = request.GET.get("year", "")
    if year and not (year.isascii() and year.isdigit() and len(year) == 4):
        raise Invalid(_("A year has four digits, was %(year)s.") % {"year": year[:10]})
    found = tax.report(
        request.GET.get("account", ""), request.GET.get("method", "fifo"), int(year) if year else None
    )
    return csv_of(f"lots-{found.method}.csv", LOTS, (lot_cells(lot) for lot in found.closed))


def lot_cells(lot: Closed) -> tuple[object, ...]:
    """One closed lot as cells under LOTS."""
    return (
        lot.symbol, lot.opened_at, lot.closed_at, lot.held_days, "long" if lot.is_long else "short", lot.quantity,
        lot.cost, lot.proceeds, lot.gain,
    )  # fmt: skip
