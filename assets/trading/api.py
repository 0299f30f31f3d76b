"""Trading as JSON: orders, fills, positions and what the accounts are worth. Workflows trade; what may be changed here only limits them."""

from __future__ import annotations

import hashlib
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from assets.trading.selectors import api_orders as orders
from assets.trading.selectors import api_portfolio as portfolio
from assets.trading.selectors import api_risk
from assets.trading.services import limits, ticket
from assets.trading.services import orders as order_service
from tradingsite.foundation import clock
from tradingsite.foundation.api.params import boolean, choice, choices, instant, text
from tradingsite.foundation.api.views import ApiView, ListView, StrictSerializer, path_both
from tradingsite.foundation.roles import Role

_account = {"asset_type": text(32), "mode": choice(*orders.MODES)}
_traded = {
    **_account, "demo": boolean, "account": text(64), "symbol": text(32), "side": choice("buy", "sell"),
    "since": instant, "until": instant,
}  # fmt: skip


class OrderBody(StrictSerializer):
    """An order by hand, on the paper account that trades the instrument. Without `limit_price`: at the market."""

    symbol = serializers.CharField(max_length=32)
    side = serializers.ChoiceField(choices=("buy", "sell"))
    quantity = serializers.CharField(max_length=40)
    limit_price = serializers.CharField(max_length=40, required=False)


class OrderList(ListView):
    """Orders of the accounts in use, newest first; `demo` shows the others."""

    params = {**_traded, "status": choices(*orders.STATUSES), "workflow": text(64)}
    required_role = {"POST": Role.TRADER}
    throttle_scope = "orders"
    idempotency_required = True
    answers = {"GET": (200, orders.OrderItem), "POST": (201, orders.OrderItem)}
    bodies = {"POST": OrderBody}

    def rows(self) -> Any:
        return orders.orders(**self.query)

    def item(self, row: Any) -> Any:
        return orders.order_item(row)

    def post(self, request: Request) -> Response:
        body, key = self.body(OrderBody), request.headers.get("Idempotency-Key", "")
        wanted = ticket.read(**body)
        token = hashlib.sha256(f"{self.actor.id}:{key}".encode()).hexdigest()[:32]
        order = ticket.place(wanted, token, actor=self.actor, now=clock.now())
        return Response(orders.item_of(order.pk), status=201)


class OrderCancel(ApiView):
    """Take an order back; what it has traded stays."""

    required_role = {"POST": Role.TRADER}
    answers = {"POST": (200, orders.OrderItem)}

    def post(self, request: Request, pk: int) -> Response:
        self.body(StrictSerializer)
        order_service.cancel(pk, actor=self.actor, now=clock.now(), reason="by hand")
        return Response(orders.item_of(pk))


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


class Risk(ApiView):
    """Score, limits, protections and stress of each account in use."""

    params = {"account": text(64)}
    answers = {"GET": (200, api_risk.Risk)}

    def get(self, request: Request) -> Response:
        return Response(api_risk.risk(clock.now(), **self.query))


class LimitBody(StrictSerializer):
    """The limits to change. Only tighter ones: what loosens needs a person and a password (the page Risk)."""

    max_order_notional = serializers.CharField(max_length=40, required=False)
    max_position_ratio = serializers.FloatField(required=False)
    max_leverage = serializers.FloatField(required=False)
    max_correlated_ratio = serializers.FloatField(required=False)
    max_daily_loss_ratio = serializers.FloatField(required=False)
    max_drawdown_ratio = serializers.FloatField(required=False)
    price_band_ratio = serializers.FloatField(required=False)
    max_orders_per_minute = serializers.IntegerField(required=False)
    max_orders_per_day = serializers.IntegerField(required=False)
    allows_short = serializers.BooleanField(required=False)
    allowed_symbols = serializers.ListField(
        child=serializers.CharField(max_length=32), max_length=200, required=False
    )


class Limits(ApiView):
    """The limits of one account."""

    required_role = {"PATCH": Role.TRADER}
    answers = {"GET": (200, api_risk.Limits), "PATCH": (200, api_risk.Limits)}
    bodies = {"PATCH": LimitBody}

    def get(self, request: Request, account: str) -> Response:
        return Response(api_risk.limits_of(account))

    def patch(self, request: Request, account: str) -> Response:
        limits.change_by_name(account, self.body(LimitBody), actor=self.actor, now=clock.now())
        return Response(api_risk.limits_of(account))


urlpatterns = [
    *path_both("orders", OrderList.as_view(), "orders"),
    *path_both("orders/<int:pk>/cancel", OrderCancel.as_view(), "order-cancel"),
    *path_both("fills", FillList.as_view(), "fills"),
    *path_both("positions", Positions.as_view(), "positions"),
    *path_both("portfolio", Portfolio.as_view(), "portfolio"),
    *path_both("risk", Risk.as_view(), "risk"),
    *path_both("risk/limits/<str:account>", Limits.as_view(), "risk-limits"),
]
