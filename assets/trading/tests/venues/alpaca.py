"""Alpaca on loopback: headers, orders, positions, activities, hours and errors as its documentation says, faults on request.

with AlpacaVenue(clock) as venue:
    venue.faults.append(Fault(path="/orders", method="POST", status=200, body=b"{}", acts=True))   # accepted, but garbled
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from assets.markets.testkit.loopback import Reply, Request
from assets.trading.tests.venues.book import Book, Booked, Refused, Trade
from assets.trading.tests.venues.faults import FaultyVenue

KEY, SECRET = "loopback-key-id", "loopback-secret-key"
STATUS = {"open": "new", "filled": "filled", "cancelled": "canceled", "expired": "expired"}
MALFORMED, BAD_PARAMETER, REFUSED, NO_ORDER, UNPROCESSABLE = 40010000, 40010001, 40310000, 40410000, 42210000
FINEST, LEAST_MONEY = Decimal("0.000000001"), Decimal(1)


class AlpacaVenue(FaultyVenue):
    """`book` is the truth. Shares are traded for USD without commission."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        super().__init__(now)
        self.book = Book(now, fee_rate=Decimal(0))
        self.book.pairs = {"SPY": ("SPY", "USD"), "QQQ": ("QQQ", "USD")}
        self.book.prices = {"SPY": Decimal(100), "QQQ": Decimal(10)}
        self.book.balances = {"USD": Decimal(100_000), "SPY": Decimal(10), "QQQ": Decimal(100)}
        self.is_open = True
        self.is_whole_only: set[str] = set()  # funds of which no parts are traded
        self.successors: dict[int, int] = {}  # what replaced what
        self.words: dict[int, str] = {}  # other states of single orders
        self.hidden: set[int] = set()  # trades not yet in the list of activities
        self.money: dict[int, str] = {}  # orders made by hand in money
        self.account = {
            "status": "ACTIVE", "crypto_status": "INACTIVE", "trading_blocked": False, "account_blocked": False,
            "transfers_blocked": False, "trade_suspended_by_user": False, "currency": "USD",
        }  # fmt: skip

    def posts(self) -> list[dict[str, str]]:
        """Parameters of every order that was posted, whatever became of it."""
        return [found for method, path, found in self.requests if method == "POST" and path == "/v2/orders"]

    def by_client(self, client_id: str) -> Booked:
        for order in self.book.orders.values():
            if order.client_id == client_id:
                return order
        raise Refused(NO_ORDER, f"order not found for {client_id}", 404)

    def replace(self, order: Booked, quantity: Decimal, *, carries: bool = False) -> Booked:
        """Somebody changes an order by hand: it ends, and another one takes its place.

        `carries`: the new one counts as filled what the old one had filled.
        """
        new = self.book.accept(f"by-hand-{order.id}", order.symbol, order.side, quantity, order.limit)
        self.successors[order.id] = new.id
        order.status = "cancelled"
        self.words[order.id] = "replaced"
        if carries:
            new.trades = list(order.trades)
        return new

    # --- One request --------------------------------------------------------------------------------------------

    def parameters(self, request: Request) -> dict[str, str]:
        if request.method != "POST":
            return super().parameters(request)
        try:
            found = json.loads(request.text)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def act(self, request: Request, query: dict[str, str]) -> Reply:
        given = {name.lower(): value for name, value in request.headers.items()}
        if (given.get("apca-api-key-id"), given.get("apca-api-secret-key")) != (KEY, SECRET):
            return Reply(401, b'{"message": "unauthorized."}')
        try:
            document = self._act(request.method, request.path, query)
        except Refused as e:
            return Reply(e.status, json.dumps({"code": e.code, "message": e.text}).encode())
        return Reply(200, json.dumps(document).encode()) if document is not None else Reply(204, b"")

    def _act(self, method: str, path: str, query: dict[str, str]) -> Any:
        routes: dict[tuple[str, str], Callable[[dict[str, str]], Any]] = {
            ("POST", "/v2/orders"): self._place, ("GET", "/v2/orders"): self._listed,
            ("GET", "/v2/orders:by_client_order_id"): lambda query: self._json(self.by_client(query["client_order_id"])),
            ("GET", "/v2/account"): self._account, ("GET", "/v2/positions"): self._positions,
            ("GET", "/v2/account/activities/FILL"): self._fills, ("GET", "/v2/clock"): self._clock,
        }  # fmt: skip
        if route := routes.get((method, path)):
            return route(query)
        if path.startswith("/v2/orders/") and method in ("GET", "DELETE"):
            return self._single(method, path.rsplit("/", 1)[-1])
        raise Refused(NO_ORDER, f"endpoint not found: {method} {path}", 404)

    # --- Orders -------------------------------------------------------------------------------------------------

    def _place(self, query: dict[str, str]) -> Any:
        if not {"symbol", "qty", "side", "type", "time_in_force"} <= query.keys():
            raise Refused(MALFORMED, "request body format is invalid", 400)
        symbol, quantity, client_id = query["symbol"], Decimal(query["qty"]), query["client_order_id"]
        limit = Decimal(query["limit_price"]) if query["type"] == "limit" else None
        self._check(symbol, quantity, limit, query)
        with self.book.lock:
            if any(row.client_id == client_id for row in self.book.orders.values()):
                raise Refused(BAD_PARAMETER, "client_order_id must be unique", 422)
            if not self.is_open:
                return self._json(self._queue(client_id, symbol, query["side"], quantity, limit))
            try:
                order = self.book.accept(client_id, symbol, query["side"], quantity, limit)
            except Refused as e:
                raise Refused(REFUSED, "insufficient buying power", 403) from e
        return self._json(order) | {"filled_qty": "0", "status": "pending_new"}

    def _check(self, symbol: str, quantity: Decimal, limit: Decimal | None, query: dict[str, str]) -> None:
        if symbol not in self.book.pairs:
            raise Refused(UNPROCESSABLE, f'asset "{symbol}" not found', 422)
        if quantity <= 0:
            raise Refused(BAD_PARAMETER, "qty must be > 0", 422)
        if quantity % FINEST:
            raise Refused(UNPROCESSABLE, "qty must be limited to 9 decimal places", 422)
        if quantity % 1 and symbol in self.is_whole_only:
            raise Refused(REFUSED, f'asset "{symbol}" is not fractionable', 403)
        if quantity % 1 and query["time_in_force"] != "day":
            raise Refused(UNPROCESSABLE, "fractional orders must be DAY orders", 422)
        if limit is not None and limit % Decimal("0.01" if limit >= 1 else "0.0001"):
            raise Refused(UNPROCESSABLE, "sub-penny increment does not fulfill minimum pricing criteria", 422)
        if quantity * (limit or self.book.prices[symbol]) < LEAST_MONEY:
            raise Refused(REFUSED, "cost basis must be >= minimal amount of order 1", 403)

    def _queue(
        self, client_id: str, symbol: str, side: str, quantity: Decimal, limit: Decimal | None
    ) -> Booked:
        """Outside its hours the venue keeps everything for the next opening."""
        order = Booked(next(self.book._ids), client_id, symbol, side, quantity, limit, self.now())
        self.book.orders[order.id] = order
        self.book.truth.append(("accepted", client_id))
        return order

    def _listed(self, query: dict[str, str]) -> Any:
        rows = [row for row in self.book.orders.values() if row.status == "open"]
        if query.get("direction", "desc") == "desc":
            rows.reverse()
        if after := query.get("after_order_id"):
            places = [place for place, row in enumerate(rows) if _uuid(row.id) == after]
            rows = rows[places[0] + 1 :] if places else []
        return [self._json(row) for row in rows[: min(int(query.get("limit", 50)), 500)]]

    def _single(self, method: str, name: str) -> Any:
        order = self.book.orders.get(UUID(name).int)
        if order is None:
            raise Refused(NO_ORDER, f"order not found for {name}", 404)
        if method == "GET":
            return self._json(order)
        try:
            self.book.cancel(order)
        except Refused as e:
            raise Refused(UNPROCESSABLE, f'order is already in "{self._word(order)}" state', 422) from e
        return None

    # --- The account --------------------------------------------------------------------------------------------

    def _account(self, query: dict[str, str]) -> Any:
        return self.account | {"cash": str(self.book.balances.get("USD", Decimal(0)))}

    def _positions(self, query: dict[str, str]) -> Any:
        return [
            {"symbol": name, "qty": str(amount), "side": "long" if amount > 0 else "short", "asset_class": "us_equity"}
            for name, amount in self.book.balances.items()
            if name != "USD" and amount
        ]  # fmt: skip

    def _fills(self, query: dict[str, str]) -> Any:
        """One list of the whole account, by time; a page begins after the row that the token names."""
        after = datetime.fromisoformat(query["after"])
        until = (
            datetime.fromisoformat(query["until"])
            if "until" in query
            else datetime.max.replace(tzinfo=after.tzinfo)
        )
        with self.book.lock:
            found = {
                trade.id: (trade, order)
                for order in reversed(
                    self.book.orders.values()
                )  # what was carried over belongs to the older order
                for trade in order.trades
                if after < trade.at <= until and trade.id not in self.hidden
            }
        rows = [self._activity(*found[number]) for number in sorted(found)]
        if token := query.get("page_token"):
            rows = rows[[row["id"] for row in rows].index(token) + 1 :]
        return rows[: min(int(query.get("page_size", 100)), 100)]

    @staticmethod
    def _activity(trade: Trade, order: Booked) -> dict[str, Any]:
        return {
            "activity_type": "FILL", "id": f"{trade.at:%Y%m%d%H%M%S}{trade.id:03d}::{_uuid(trade.id)}",
            "order_id": _uuid(order.id), "symbol": order.symbol, "side": order.side, "price": str(trade.price),
            "qty": str(trade.quantity), "type": "fill" if order.status == "filled" else "partial_fill",
            "transaction_time": _text(trade.at),
        }  # fmt: skip

    def _clock(self, query: dict[str, str]) -> Any:
        now = self.now()
        opens, closes = now + timedelta(hours=20), now + timedelta(hours=3)
        return {
            "timestamp": _text(now), "is_open": self.is_open, "next_open": _text(opens), "next_close": _text(closes),
        }  # fmt: skip

    # --- How an order is told -----------------------------------------------------------------------------------

    def _word(self, order: Booked) -> str:
        if order.id in self.words:
            return self.words[order.id]
        return "partially_filled" if order.status == "open" and order.filled else STATUS[order.status]

    def _json(self, order: Booked) -> dict[str, Any]:
        before = [old for old, new in self.successors.items() if new == order.id]
        after = self.successors.get(order.id)
        return {
            "id": _uuid(order.id), "client_order_id": order.client_id, "symbol": order.symbol, "side": order.side,
            "asset_class": "us_equity", "qty": None if order.id in self.money else str(order.quantity),
            "notional": self.money.get(order.id), "filled_qty": str(order.filled), "filled_avg_price": None,
            "type": "limit" if order.limit else "market", "order_type": "limit" if order.limit else "market",
            "limit_price": str(order.limit) if order.limit else None, "time_in_force": "day", "order_class": "simple",
            "status": self._word(order), "created_at": _text(order.at), "submitted_at": _text(order.at),
            "updated_at": _text(self.now()), "extended_hours": False, "legs": None,
            "replaced_by": None if after is None else _uuid(after), "replaces": _uuid(before[0]) if before else None,
        }  # fmt: skip


def _uuid(number: int) -> str:
    return str(UUID(int=number))


def _text(at: datetime) -> str:
    """Nanoseconds, as the real one gives them."""
    return f"{at:%Y-%m-%dT%H:%M:%S.%f}123Z"
