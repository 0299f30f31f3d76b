"""Orders and trades as files: every row the page's filter lets through, times in UTC, amounts exact."""

from __future__ import annotations

from typing import Final

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from assets.trading.pages import order_filter
from assets.trading.selectors import pages as reads_
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
