"""Trading as JSON: orders, fills, positions and what the accounts are worth. Reading only: workflows trade."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from assets.trading.selectors import api_orders as orders
from assets.trading.selectors import api_portfolio as portfolio
from tradingsite.foundation import clock
from tradingsite.foundation.api.params import boolean, choice, choices, instant, text
from tradingsite.foundation.api.views import ApiView, ListView, path_both

_account = {"asset_type": text(32), "mode": choice(*orders.MODES)}
_traded = {
    **_account, "demo": boolean, "account": text(64), "symbol": text(32), "side": choice("buy", "sell"),
    "since": instant, "until": instant,
}  # fmt: skip


class OrderList(ListView):
    """Orders of the accounts in use, newest first; `demo` shows the others."""

    params = {**_traded, "status": choices(*orders.STATUSES), "workflow": text(64)}
    answers = {"GET": (200, orders.OrderItem)}

    def rows(self) -> Any:
        return orders.orders(**self.query)

    def item(self, row: Any) -> Any:
        return orders.order_item(row)


class FillList(ListView):
    """Executions of the accounts in use, newest first; `demo` shows the others."""

    params = _traded
    answers = {"GET": (200, orders.FillItem)}
    time_field = "at"

    def rows(self) -> Any:
        return orders.fills(**self.query)

    def item(self, row: Any) -> Any:
        return orders.fill_item(row)


class Positions(ApiView):
    """Open positions of the accounts in use, valued at the newest price."""

    params = {**_account, "symbol": text(32)}
    answers = {"GET": (200, portfolio.Positions)}

    def get(self, request: Request) -> Response:
        return Response(portfolio.positions(clock.now(), **self.query))


class Portfolio(ApiView):
    """What each account is worth, and sums per mode and currency. Demo and real, paper and live are never added up."""

    params = _account
    answers = {"GET": (200, portfolio.Portfolio)}

    def get(self, request: Request) -> Response:
        return Response(portfolio.portfolio(clock.now(), **self.query))


urlpatterns = [
    *path_both("orders", OrderList.as_view(), "orders"),
    *path_both("fills", FillList.as_view(), "fills"),
    *path_both("positions", Positions.as_view(), "positions"),
    *path_both("portfolio", Portfolio.as_view(), "portfolio"),
]
