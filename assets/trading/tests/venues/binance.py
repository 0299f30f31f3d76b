"""Binance spot on loopback: signatures, clocks, filters and errors as its documentation says, faults on request.

with BinanceVenue(clock) as venue:
    venue.faults.append(Fault(path="/order", method="POST", drop="after"))     # accepted, but the line is cut
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from assets.markets.testkit.loopback import Reply, Request
from assets.trading.tests.venues.book import Book, Booked, Refused
from assets.trading.tests.venues.faults import Fault, FaultyVenue

__all__ = ["KEY", "SECRET", "BinanceVenue", "Fault"]

KEY, SECRET = "loopback-key", "loopback-secret"
STATUS = {"open": "NEW", "filled": "FILLED", "cancelled": "CANCELED", "expired": "EXPIRED"}
STEP, MIN_NOTIONAL = Decimal("0.00001"), Decimal(5)


class BinanceVenue(FaultyVenue):
    """`book` is the truth; `requests` what was asked: (method, path, parameters)."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        super().__init__(now)
        self.book = Book(now)
        self.book.pairs = {"BTCUSDT": ("BTC", "USDT"), "ETHUSDT": ("ETH", "USDT")}
        self.book.prices = {"BTCUSDT": Decimal(100), "ETHUSDT": Decimal(10)}
        self.book.balances = {"USDT": Decimal(100_000), "BTC": Decimal(10), "ETH": Decimal(100)}
        self.permissions = {
            "enableReading": True,
            "enableSpotAndMarginTrading": True,
            "enableWithdrawals": False,
            "ipRestrict": True,
        }

    def posts(self) -> list[dict[str, str]]:
        """Parameters of every order that was posted, whatever became of it."""
        return [
            found for method, path, found in self.requests if method == "POST" and path.endswith("/order")
        ]

    # --- One request --------------------------------------------------------------------------------------------

    def act(self, request: Request, query: dict[str, str]) -> Reply:
        try:
            status, document = 200, self._act(request.method, request.path, query, request.text, request.key)
        except Refused as e:
            status, document = e.status, {"code": e.code, "msg": e.text}
        return Reply(status, json.dumps(document).encode())

    def _act(self, method: str, path: str, query: dict[str, str], text: str, key: str) -> Any:
        if path.endswith("/time"):
            return {"serverTime": self._ms()}
        self._require_signature(query, text, key)
        routes: dict[tuple[str, str], Callable[[dict[str, str]], Any]] = {
            ("POST", "order"): self._place, ("GET", "order"): self._order, ("DELETE", "order"): self._cancel,
            ("GET", "openOrders"): self._open, ("GET", "myTrades"): self._trades, ("GET", "account"): self._account,
            ("GET", "apiRestrictions"): lambda query: self.permissions,
        }  # fmt: skip
        route = routes.get((method, path.rsplit("/", 1)[-1]))
        if route is None:
            raise Refused(-1, f"not here: {method} {path}", 404)
        return route(query)

    def _require_signature(self, query: dict[str, str], text: str, key: str) -> None:
        if key != KEY:
            raise Refused(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        signed, _, signature = text.rpartition("&signature=")
        good = hmac.new(SECRET.encode(), signed.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(good, signature):
            raise Refused(-1022, "Signature for this request is not valid.")
        sent, window = int(query["timestamp"]), int(query.get("recvWindow", 5000))
        if not self._ms() - window <= sent <= self._ms() + 1000:
            raise Refused(-1021, "Timestamp for this request is outside of the recvWindow.")

    # --- Routes -------------------------------------------------------------------------------------------------

    def _place(self, query: dict[str, str]) -> Any:
        symbol, quantity = query["symbol"], Decimal(query["quantity"])
        if symbol not in self.book.pairs:
            raise Refused(-1121, "Invalid symbol.")
        if quantity % STEP:
            raise Refused(-1013, "Filter failure: LOT_SIZE")
        limit = Decimal(query["price"]) if query["type"] == "LIMIT" else None
        if quantity * (limit or self.book.prices[symbol]) < MIN_NOTIONAL:
            raise Refused(-1013, "Filter failure: NOTIONAL")
        order = self.book.accept(query["newClientOrderId"], symbol, query["side"].lower(), quantity, limit)
        return self._as_json(order) | {"transactTime": self._ms(), "fills": []}

    def _order(self, query: dict[str, str]) -> Any:
        return self._as_json(self.book.by_client(query["origClientOrderId"], query["symbol"]))

    def _cancel(self, query: dict[str, str]) -> Any:
        order = self.book.by_client(query["origClientOrderId"], query["symbol"])
        self.book.cancel(order)
        return self._as_json(order) | {"origClientOrderId": order.client_id}

    def _open(self, query: dict[str, str]) -> Any:
        wanted = query.get("symbol")
        rows = [row for row in self.book.orders.values() if row.status == "open"]
        return [self._as_json(row) for row in rows if wanted in (None, row.symbol)]

    def _trades(self, query: dict[str, str]) -> Any:
        order = self.book.orders.get(int(query["orderId"]))
        rows = order.trades if order and order.symbol == query["symbol"] else []
        return [
            {
                "id": row.id, "orderId": order.id if order else 0, "price": str(row.price), "qty": str(row.quantity),
                "commission": str(row.fee), "commissionAsset": row.fee_asset, "time": int(row.at.timestamp() * 1000),
            }
            for row in rows
        ]  # fmt: skip

    def _account(self, query: dict[str, str]) -> Any:
        rows = [
            {"asset": asset, "free": str(free), "locked": "0"} for asset, free in self.book.balances.items()
        ]
        return {"accountType": "SPOT", "canTrade": True, "balances": rows}

    def _as_json(self, order: Booked) -> dict[str, Any]:
        status = STATUS[order.status]
        if status == "NEW" and order.filled:
            status = "PARTIALLY_FILLED"
        at = int(order.at.timestamp() * 1000)
        return {
            "symbol": order.symbol, "orderId": order.id, "orderListId": -1, "clientOrderId": order.client_id,
            "price": str(order.limit or 0), "origQty": str(order.quantity), "executedQty": str(order.filled),
            "status": status, "timeInForce": "GTC", "type": "LIMIT" if order.limit else "MARKET",
            "side": order.side.upper(), "time": at, "updateTime": at, "workingTime": at,
        }  # fmt: skip

    def _ms(self) -> int:
        return int(self.now().timestamp() * 1000)
