"""What every venue of ours knows: orders, trades, balances, and a log of what truly happened."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

ZERO = Decimal(0)


@dataclass
class Trade:
    id: int
    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_asset: str
    at: datetime


@dataclass
class Booked:
    """One order at the venue. `status`: open, filled, cancelled, expired."""

    id: int
    client_id: str
    symbol: str
    side: str
    quantity: Decimal
    limit: Decimal | None
    at: datetime
    status: str = "open"
    trades: list[Trade] = field(default_factory=list)

    @property
    def filled(self) -> Decimal:
        return sum((trade.quantity for trade in self.trades), ZERO)


class Refused(Exception):
    """The venue says no. `code` and `text` in its own words."""

    def __init__(self, code: int, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.code, self.text, self.status = code, text, status


class Book:
    """Spot: base and quote balances, market orders at `price`, limit orders that rest until the price comes by."""

    def __init__(self, now: Callable[[], datetime], fee_rate: Decimal = Decimal("0.001")) -> None:
        self.now, self.fee_rate = now, fee_rate
        self.lock = threading.RLock()
        self.orders: dict[int, Booked] = {}
        self.balances: dict[str, Decimal] = {}
        self.prices: dict[str, Decimal] = {}
        self.pairs: dict[str, tuple[str, str]] = {}
        self.share = Decimal(1)  # of a market order that fills at once; the rest stays open
        self.truth: list[tuple[str, str]] = []  # (what, client id), never changed
        self._ids, self._trade_ids = itertools.count(1001), itertools.count(1)

    def accept(
        self, client_id: str, symbol: str, side: str, quantity: Decimal, limit: Decimal | None
    ) -> Booked:
        """Take an order in; the client id must be unique among the open ones, as at the real venue."""
        with self.lock:
            if any(row.client_id == client_id and row.status == "open" for row in self.orders.values()):
                raise Refused(-2010, "Duplicate order sent.")
            self._require_funds(symbol, side, quantity, limit)
            order = Booked(next(self._ids), client_id, symbol, side, quantity, limit, self.now())
            self.orders[order.id] = order
            self.truth.append(("accepted", client_id))
            if limit is None:
                self.fill(order, order.quantity * self.share, self.prices[symbol])
            else:
                self._match(order)
            return order

    def _require_funds(self, symbol: str, side: str, quantity: Decimal, limit: Decimal | None) -> None:
        base, quote = self.pairs[symbol]
        needed = quantity if side == "sell" else quantity * (limit or self.prices[symbol])
        if self.balances.get(base if side == "sell" else quote, ZERO) < needed:
            raise Refused(-2010, "Account has insufficient balance for requested action.")

    def fill(self, order: Booked, quantity: Decimal, price: Decimal) -> None:
        """Execute a part, the fee taken from what is received."""
        with self.lock:
            base, quote = self.pairs[order.symbol]
            got, given = (base, quote) if order.side == "buy" else (quote, base)
            amounts = {base: quantity, quote: quantity * price}
            fee = amounts[got] * self.fee_rate
            self.balances[got] = self.balances.get(got, ZERO) + amounts[got] - fee
            self.balances[given] = self.balances.get(given, ZERO) - amounts[given]
            order.trades.append(Trade(next(self._trade_ids), quantity, price, fee, got, self.now()))
            self.truth.append(("filled", order.client_id))
            if order.filled >= order.quantity:
                order.status = "filled"

    def move(self, symbol: str, price: Decimal) -> None:
        """The market moves; resting orders it passes are filled."""
        with self.lock:
            self.prices[symbol] = price
            for order in self.orders.values():
                if order.symbol == symbol and order.status == "open":
                    self._match(order)

    def _match(self, order: Booked) -> None:
        price = self.prices[order.symbol]
        crossed = order.limit is None or (
            price <= order.limit if order.side == "buy" else price >= order.limit
        )
        if crossed and order.limit is not None:
            self.fill(order, order.quantity - order.filled, order.limit)

    def cancel(self, order: Booked) -> None:
        with self.lock:
            if order.status != "open":
                raise Refused(-2011, "Unknown order sent.")
            order.status = "cancelled"
            self.truth.append(("cancelled", order.client_id))

    def by_client(self, client_id: str, symbol: str) -> Booked:
        with self.lock:
            for order in reversed(self.orders.values()):
                if order.client_id == client_id and order.symbol == symbol:
                    return order
        raise Refused(-2013, "Order does not exist.")

    def count(self, what: str, client_id: str) -> int:
        """How often something truly happened to an order."""
        return self.truth.count((what, client_id))
