"""The loopback Binance with an append-only truth log on disk, and faults of every kind drawn from a seed."""

from __future__ import annotations

import itertools
import json
import os
import random
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from assets.markets.testkit.loopback import Reply, Request
from assets.trading.tests.torture import world
from assets.trading.tests.venues.binance import BinanceVenue
from assets.trading.tests.venues.book import ZERO, Book, Booked, Refused, Trade
from tradingsite.foundation import clock

LOT = Decimal("0.001")
Odds = tuple[tuple[str, float], ...]
POSTS: Odds = (
    ("lost", 0.02), ("cut", 0.03), ("busy_after", 0.02), ("busy", 0.01), ("held", 0.03), ("held_after", 0.02),
    ("garbled", 0.01), ("limited", 0.002), ("too_old", 0.005),
)  # fmt: skip
DELETES: Odds = (("lost", 0.03), ("cut", 0.03), ("busy_after", 0.02), ("held", 0.02), ("held_after", 0.01))
READS: Odds = (("lost", 0.005), ("busy", 0.005), ("held", 0.003), ("garbled", 0.002), ("limited", 0.0005))
LISTS: Odds = (("double", 0.02), ("short", 0.02))
CANCELS: Odds = (("crossed", 0.2), ("filled", 0.1), ("pending", 0.2))
STAGES = ("arrived", "applied", "answered")


class Dice:
    """One seeded source for all threads of the venue."""

    def __init__(self, seed: str) -> None:
        self._rng, self._lock = random.Random(seed), threading.Lock()

    def pick(self, odds: Odds) -> str:
        point = self.between(0, 1)
        for word, chance in odds:
            point -= chance
            if point < 0:
                return word
        return ""

    def between(self, low: float, high: float) -> float:
        with self._lock:
            return self._rng.uniform(low, high)

    def part(self, whole: Decimal) -> Decimal:
        """Some lots of `whole`, at least one."""
        return max(LOT, (whole * Decimal(self.between(0.05, 0.95)) // LOT) * LOT)


class TruthLog:
    """What truly happened, one JSON line each, written before anybody is told. Never changed."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, **line: Any) -> None:
        os.write(self._file, (json.dumps(line, default=str) + "\n").encode())


def read_truth(path: Path) -> Iterator[dict[str, Any]]:
    """Every whole line; one cut in two by the death of the writer was told to nobody."""
    if path.exists():
        for line in path.read_text().splitlines(keepends=True):
            if line.endswith("\n"):
                yield json.loads(line)


class TruthBook(Book):
    """The book, written down, with what makes ten thousand orders quick."""

    def __init__(self, now: Callable[[], datetime], log: TruthLog, dice: Dice) -> None:
        super().__init__(now)
        self.log, self.dice = log, dice
        self.open: dict[int, Booked] = {}
        self.by_name: dict[str, list[Booked]] = {}
        self.pairs = {symbol: (symbol.removesuffix("USDT"), "USDT") for symbol in world.SYMBOLS}
        self.balances = {"USDT": world.OPENING}
        self.set_prices()

    def set_prices(self) -> None:
        minute = world.minute_of(self.now())
        self.prices = {symbol: world.price_of(symbol, minute) for symbol in world.SYMBOLS}

    def accept(
        self, client_id: str, symbol: str, side: str, quantity: Decimal, limit: Decimal | None
    ) -> Booked:
        with self.lock:
            if any(row.status == "open" for row in self.by_name.get(client_id, ())):
                raise Refused(-2010, "Duplicate order sent.")
            self._require_funds(symbol, side, quantity, limit)
            order = Booked(next(self._ids), client_id, symbol, side, quantity, limit, self.now())
            self.log.write(
                e="accepted", id=order.id, client=client_id, symbol=symbol, side=side, quantity=quantity,
                limit=limit, at=order.at.isoformat(),
            )  # fmt: skip
            self._enter(order)
            word = self.dice.pick((("all", 0.5), ("part", 0.3)))
            if word and limit is None:
                self.fill(order, quantity if word == "all" else self.dice.part(quantity), self.prices[symbol])
            return order

    def _enter(self, order: Booked) -> None:
        self.orders[order.id] = self.open[order.id] = order
        self.by_name.setdefault(order.client_id, []).append(order)

    def fill(self, order: Booked, quantity: Decimal, price: Decimal) -> None:
        with self.lock:
            super().fill(order, quantity, price)
            trade = order.trades[-1]
            self.log.write(
                e="filled", id=order.id, client=order.client_id, trade=trade.id, quantity=quantity, price=price,
                fee=trade.fee, asset=trade.fee_asset, at=trade.at.isoformat(),
            )  # fmt: skip
            if order.status != "open":
                self.open.pop(order.id, None)

    def fill_some(self, order: Booked, *, all_of_it: bool) -> None:
        rest = order.quantity - order.filled
        self.fill(
            order,
            rest if all_of_it else min(rest, self.dice.part(rest)),
            order.limit or self.prices[order.symbol],
        )

    def cancel(self, order: Booked) -> None:
        with self.lock:
            super().cancel(order)
            self.log.write(e="cancelled", id=order.id, client=order.client_id, at=self.now().isoformat())
            self.open.pop(order.id, None)

    def by_client(self, client_id: str, symbol: str) -> Booked:
        for order in reversed(self.by_name.get(client_id, ())):
            if order.symbol == symbol:
                return order
        raise Refused(-2013, "Order does not exist.")

    def restore(self, lines: Iterator[dict[str, Any]]) -> None:
        """The book as its log says."""
        last_order, last_trade = 1000, 0
        for line in lines:
            if line["e"] == "accepted":
                limit = None if line["limit"] is None else Decimal(line["limit"])
                at, quantity = datetime.fromisoformat(line["at"]), Decimal(line["quantity"])
                last_order = line["id"]
                self._enter(
                    Booked(last_order, line["client"], line["symbol"], line["side"], quantity, limit, at)
                )
            elif line["e"] == "filled":
                last_trade = line["trade"]
                self._refill(self.orders[line["id"]], line)
            elif line["e"] == "cancelled":
                self.open.pop(line["id"]).status = "cancelled"
        self._ids, self._trade_ids = itertools.count(last_order + 1), itertools.count(last_trade + 1)

    def _refill(self, order: Booked, line: dict[str, Any]) -> None:
        base, quote = self.pairs[order.symbol]
        got, given = (base, quote) if order.side == "buy" else (quote, base)
        quantity, price, fee = (Decimal(line[name]) for name in ("quantity", "price", "fee"))
        amounts = {base: quantity, quote: quantity * price}
        self.balances[got] = self.balances.get(got, ZERO) + amounts[got] - fee
        self.balances[given] = self.balances.get(given, ZERO) - amounts[given]
        at = datetime.fromisoformat(line["at"])
        order.trades.append(Trade(line["trade"], quantity, price, fee, line["asset"], at))
        if order.filled >= order.quantity:
            order.status = "filled"
            self.open.pop(order.id, None)


class TortureVenue(BinanceVenue):
    """`assassin(slot, stage)` is told of every order on its way: when it arrived, was applied, was answered.

    `calm`: nothing goes wrong and nothing trades, so that both books can be compared.
    """

    book: TruthBook

    def __init__(self, folder: Path, seed: str, assassin: Callable[[str, str], None]) -> None:
        super().__init__(clock.RealClock().now)
        self.log, self.dice, self.calm = TruthLog(folder / "truth.jsonl"), Dice(seed), False
        self.book = TruthBook(self.now, self.log, self.dice)
        self.book.restore(read_truth(folder / "truth.jsonl"))
        self.assassin = assassin
        self._pending: dict[int, float] = {}  # order id -> when its cancel takes effect, monotonic seconds
        self._market = threading.Thread(target=self._trade, daemon=True)
        self._server.socket.listen(128)
        self._server.RequestHandlerClass.disable_nagle_algorithm = True

    def __enter__(self) -> TortureVenue:
        super().__enter__()
        self._market.start()
        return self

    # --- One request --------------------------------------------------------------------------------------------

    def act(self, request: Request, query: dict[str, str]) -> Reply:
        with self.book.lock:  # one thing at a time, written before it is told
            return super().act(request, query)

    def respond(self, request: Request) -> Reply | None:
        _, slot, *_rest, tail = request.path.split("/")
        query, what = self.parameters(request), (request.method, tail)
        if request.method != "GET" and "signature" not in query:
            self.log.write(
                e="torn", client="", text=request.text, slot=slot
            )  # its sender died in mid-sentence
            return None
        word = "" if self.calm else self.dice.pick(_odds(what))
        if request.method != "GET":
            client_id = query.get("newClientOrderId") or query.get("origClientOrderId", "")
            self.log.write(
                e=request.method, client=client_id, slot=slot, fault=word, at=self.now().isoformat()
            )
        tell = self.assassin if what == ("POST", "order") else _nobody
        tell(slot, "arrived")
        reply = self._answer(request, query, word, lambda: tell(slot, "applied"))
        tell(slot, "answered")
        return reply

    def _answer(
        self, request: Request, query: dict[str, str], word: str, applied: Callable[[], None]
    ) -> Reply | None:
        if word == "lost":
            return None
        refusal = _refusal(word)
        if refusal is not None:
            return refusal
        if word == "held":
            self.stopping.wait(self.dice.between(0.1, 2.0))
        reply = self.act(request, query)
        applied()
        if word == "held_after":
            self.stopping.wait(self.dice.between(0.1, 2.0))
        if word == "cut":
            return None
        if word == "busy_after":
            return Reply(503, b'{"code":-1000,"msg":"An unknown error occurred."}')
        return Reply(200, b"<html>busy</html>") if word == "garbled" else reply

    def _trades(self, query: dict[str, str]) -> Any:
        rows = super()._trades(query)
        word = "" if self.calm else self.dice.pick(LISTS)
        return rows + rows[-1:] if word == "double" else rows[:-1] if word == "short" else rows

    def _order(self, query: dict[str, str]) -> Any:
        order = self.book.by_client(query["origClientOrderId"], query["symbol"])
        is_young = (self.now() - order.at).total_seconds() < 0.5
        if is_young and not self.calm and self.dice.pick((("lag", 0.02),)):
            raise Refused(-2013, "Order does not exist.")
        return self._as_json(order)

    def _open(self, query: dict[str, str]) -> Any:
        return [self._as_json(row) for row in self.book.open.values()]

    def _cancel(self, query: dict[str, str]) -> Any:
        order = self.book.by_client(query["origClientOrderId"], query["symbol"])
        word = "" if self.calm or order.status != "open" else self.dice.pick(CANCELS)
        if word in ("crossed", "filled"):
            self.book.fill_some(order, all_of_it=word == "filled")
        elif word == "pending":
            self._pending[order.id] = clock.monotonic() + self.dice.between(0.05, 1.0)
            return self._as_json(order) | {"status": "PENDING_CANCEL"}
        self.book.cancel(order)
        return self._as_json(order) | {"origClientOrderId": order.client_id}

    # --- The market ---------------------------------------------------------------------------------------------

    def _trade(self) -> None:
        while not self.stopping.wait(0.03):
            with self.book.lock:
                self.book.set_prices()
                self._end_pending()
                if self.calm:
                    continue
                rows = list(self.book.open.values())
                for _n in range(min(3, len(rows))):
                    order = rows[int(self.dice.between(0, len(rows) - 0.001))]
                    word = self.dice.pick((("part", 0.04), ("all", 0.02)))
                    if word and order.status == "open":
                        self.book.fill_some(order, all_of_it=word == "all")

    def _end_pending(self) -> None:
        """Cancels take effect; half of them are overtaken by a trade."""
        now = clock.monotonic()
        for pk in [pk for pk, at in self._pending.items() if at <= now]:
            del self._pending[pk]
            order = self.book.orders[pk]
            if order.status == "open" and self.dice.pick((("late", 0.5),)):
                self.book.fill_some(order, all_of_it=bool(self.dice.pick((("all", 0.3),))))
            if order.status == "open":
                self.book.cancel(order)


def _odds(what: tuple[str, str]) -> Odds:
    return {"POST": POSTS, "DELETE": DELETES}.get(what[0], READS)


def _refusal(word: str) -> Reply | None:
    """Said without having looked at the request."""
    if word == "busy":
        return Reply(503, b'{"code":-1000,"msg":"An unknown error occurred."}')
    if word == "limited":
        return Reply(429, b'{"code":-1003,"msg":"Too many requests."}', {"Retry-After": "1"})
    if word == "too_old":
        return Reply(400, b'{"code":-1021,"msg":"Timestamp for this request is outside of the recvWindow."}')
    return None


def _nobody(slot: str, stage: str) -> None:
    """Reads and cancels are not on the assassin's list."""
