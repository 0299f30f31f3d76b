"""FXCM on loopback: a FIX 4.4 acceptor on simplefix alone, with a netting margin account and faults on request.

with FxcmVenue(clock.RealClock().now) as venue:
    venue.faults.append(Fault("D", "cut_after"))     # accepted, but the line is cut before it is said
"""

from __future__ import annotations

import itertools
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from types import TracebackType
from typing import Any, Self

from simplefix import FixMessage, FixParser

from assets.trading.tests.venues.book import ZERO, Book, Booked, Refused, Trade

USER, PASSWORD, NUMBER = "fx-user", "fx-loopback-password", "01960313"
SENDER, TARGET, SUB = "fx-user_client1", "FXCM", "U100D1"
STEP = Decimal("0.001")
STATUS = {"open": "0", "filled": "2", "cancelled": "4", "expired": "C"}
Pairs = list[tuple[int, Any]]


@dataclass
class Fault:
    """Goes wrong `times` times when a message of that kind comes in.

    cut_before, cut_after: the line is cut before or after the venue acts. silent: it acts and says nothing. hold: it acts,
    its answers come when `venue.release` is set. ignore: it does not even act. garbled, gap: its first answer has a wrong
    checksum, or is lost with its number. duplicate: answers come twice; same_number: twice with one number and PossDup.
    reorder: answers in reverse. answer: `pairs` (a kind first) instead of acting, with `acts` after acting.
    """

    on: str
    what: str
    pairs: Pairs = field(default_factory=list)
    acts: bool = False
    times: int = 1


class MarginBook(Book):
    """A book without coins: orders need margin, fees are paid in the quote currency, and reports tell of each fill."""

    def __init__(self, now: Callable[[], datetime], told: Callable[[Booked], None]) -> None:
        super().__init__(now, Decimal("0.00004"))
        self._told = told

    def _require_funds(self, symbol: str, side: str, quantity: Decimal, limit: Decimal | None) -> None:
        if quantity * self.prices[symbol] > 50 * self.balances["USD"]:
            raise Refused(13, "19915;DAS 19915: ZDas Exception ORA-20113: Insufficient margin in session")

    def fill(self, order: Booked, quantity: Decimal, price: Decimal) -> None:
        with self.lock:
            sign, (base, quote) = (1 if order.side == "buy" else -1), self.pairs[order.symbol]
            fee = quantity * price * self.fee_rate
            self.balances[base] = self.balances.get(base, ZERO) + sign * quantity
            self.balances[quote] = self.balances.get(quote, ZERO) - sign * quantity * price - fee
            order.trades.append(Trade(next(self._trade_ids), quantity, price, fee, quote, self.now()))
            self.truth.append(("filled", order.client_id))
            if order.filled >= order.quantity and order.status == "open":
                order.status = "filled"
        self._told(order)


class Line:
    """One connection: numbers both ways, what was sent (for resends), one lock for all that is written."""

    def __init__(self, venue: FxcmVenue, to: socket.socket) -> None:
        self.venue, self.socket = venue, to
        self.lock = threading.RLock()
        self.out, self.expected = 1, 1
        self.sent: dict[int, tuple[str, Pairs]] = {}
        self.is_on = False

    def send(self, kind: str, pairs: Iterable[tuple[int, Any]] = (), fault: str = "") -> None:
        with self.lock:
            seq, self.out = self.out, self.out + 1
            self.sent[seq] = (kind, list(pairs))
            if fault == "gap":
                return
            data = self.encode(kind, pairs, seq)
            if fault == "garbled":
                data = re.sub(
                    rb"\x0110=(\d+)\x01$", lambda m: b"\x0110=%03d\x01" % ((int(m[1]) + 1) % 256), data
                )
            self.write(data)

    def encode(self, kind: str, pairs: Iterable[tuple[int, Any]], seq: int, *, again: bool = False) -> bytes:
        at = self.venue.now()
        message = FixMessage()
        names = [(8, "FIX.4.4"), (35, kind), (34, seq), (49, TARGET), (50, SUB), (56, SENDER)]
        for tag, value in names + ([(43, "Y")] if again else []):
            message.append_pair(tag, value)
        message.append_utc_timestamp(52, at)
        if again:
            message.append_utc_timestamp(122, at)
        for tag, value in pairs:
            message.append_pair(tag, value)
        return message.encode()

    def write(self, data: bytes) -> None:
        try:
            with self.lock:
                self.socket.sendall(data)
        except OSError:
            pass  # the client has gone: that is what the test wanted

    def resend(self, first: int, last: int) -> None:
        """Application messages again with PossDup, the rest as one gap fill each."""
        with self.lock:
            for seq in range(first, min(last or self.out - 1, self.out - 1) + 1):
                kind, pairs = self.sent[seq]
                if kind in "012345A" or self.venue.forgets:
                    self.write(self.encode("4", [(123, "Y"), (36, seq + 1)], seq, again=True))
                else:
                    self.write(self.encode(kind, pairs, seq, again=True))

    def cut(self) -> None:
        self.is_on = False
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


class FxcmVenue:
    """`book` is the truth, `received` all messages that came in, as dicts (the last of a repeated field)."""

    def __init__(self, now: Callable[[], datetime], tls: ssl.SSLContext | None = None) -> None:
        self.now, self.tls = now, tls
        self.book = MarginBook(now, self._report_fill)
        self.book.pairs = {"EUR/USD": ("EUR", "USD"), "GBP/USD": ("GBP", "USD")}
        self.book.prices = {"EUR/USD": Decimal(100), "GBP/USD": Decimal(10)}
        self.book.balances = {"USD": Decimal(100_000)}
        self.faults: list[Fault] = []
        self.received: list[dict[int, str]] = []
        self.news = threading.Condition()
        self.lines: list[Line] = []
        self.parameters = {"SERVER_TIME_UTC": "UTC", "BASE_CRNCY": "USD", "BASE_UNIT_SIZE": "1000"}
        self.accounts = [NUMBER]
        self.position_maintenance, self.currency = "N", ""
        self.second_login = "refuse"  # or kick
        self.is_mute = self.forgets = self.lists_no_trades = self.echoes_no_ids = False
        self.subscribed: dict[str, str] = {}  # symbol -> id of the market data request
        self.release = threading.Event()
        self._exec_ids, self._held = itertools.count(7001), []
        self._server = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    @property
    def port(self) -> int:
        return int(self._server.getsockname()[1])

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release.set()
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for line in list(self.lines):
            line.cut()
        for thread in self._threads:
            thread.join(5)

    # --- What tests ask -----------------------------------------------------------------------------------------

    def of_kind(self, kind: str) -> list[dict[int, str]]:
        return [found for found in list(self.received) if found[35] == kind]

    def wait_for(self, kind: str, count: int = 1, within_s: float = 5.0) -> dict[int, str]:
        """The newest message of a kind, once `count` of them have come."""
        with self.news:
            assert self.news.wait_for(lambda: len(self.of_kind(kind)) >= count, within_s), f"no {kind} came"
        return self.of_kind(kind)[-1]

    def line(self) -> Line:
        """The connection that is logged on."""
        return next(line for line in reversed(self.lines) if line.is_on)

    def tick(self, symbol: str, bid: str, ask: str, at: datetime, condition: str = "A") -> None:
        """A quote for those who watch the symbol."""
        from assets.trading.tests.venues.fxcm_desk import snapshot

        pairs = snapshot(self.subscribed[symbol], symbol, Decimal(bid), Decimal(ask), at, condition)
        self.line().send("W", pairs)

    # --- Connections --------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        while True:
            try:
                found, _address = self._server.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(found,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, plain: socket.socket) -> None:
        try:
            to = plain if self.tls is None else self.tls.wrap_socket(plain, server_side=True)
        except OSError:
            plain.close()
            return
        line, parser = Line(self, to), FixParser()
        self.lines.append(line)
        try:
            while data := to.recv(65536):
                parser.append_buffer(data)
                while (message := parser.get_message()) is not None:
                    self._receive(line, {int(tag): value.decode() for tag, value in message.pairs})
        except (OSError, ConnectionAbortedError):
            pass
        line.is_on = False
        to.close()
        with self.news:
            self.news.notify_all()

    def _receive(self, line: Line, found: dict[int, str]) -> None:
        if (found[49], found[56], found.get(57)) != (SENDER, TARGET, SUB):
            return  # the real venue says nothing either
        fault = self._fault(found[35])
        what = fault.what if fault else ""
        with self.news:
            self.received.append(found)
            self.news.notify_all()
        if what == "cut_before":
            line.cut()
            raise ConnectionAbortedError
        if found.get(43) != "Y" and int(found[34]) == line.expected:
            line.expected += 1
        answers = self._act(line, found) if what not in ("ignore", "answer") or (fault and fault.acts) else []
        if what == "cut_after":
            line.cut()
            raise ConnectionAbortedError
        if fault and what == "answer":
            answers = [self._instead(fault.pairs, found)]
        self._answer(line, answers, what)

    def _instead(self, pairs: Pairs, found: dict[int, str]) -> tuple[str, Pairs]:
        """The answer a test wants; a value {n} is the field n of the question."""
        (_tag, kind), *rest = pairs
        return kind, [
            (tag, re.sub(r"\{(\d+)\}", lambda m: found[int(m[1])], str(value))) for tag, value in rest
        ]

    def _answer(self, line: Line, answers: list[tuple[str, Pairs]], what: str) -> None:
        if what in ("silent", "ignore"):
            return
        if what == "hold":
            thread = threading.Thread(target=self._answer_later, args=(line, answers), daemon=True)
            self._threads.append(thread)
            thread.start()
            return
        for number, (kind, pairs) in enumerate(reversed(answers) if what == "reorder" else answers):
            line.send(kind, pairs, what if number == 0 and what in ("gap", "garbled") else "")
            if what == "duplicate":
                line.send(kind, pairs)
            if what == "same_number":
                line.write(line.encode(kind, pairs, line.out - 1, again=True))
        if what in ("gap", "garbled"):
            line.send("0")  # whatever comes next shows that one is missing

    def _answer_later(self, line: Line, answers: list[tuple[str, Pairs]]) -> None:
        self.release.wait(10)
        self._answer(line, answers, "")

    def _fault(self, kind: str) -> Fault | None:
        for fault in self.faults:
            if fault.times and fault.on == kind:
                fault.times -= 1
                return fault
        return None

    # --- What it does -------------------------------------------------------------------------------------------

    def _act(self, line: Line, found: dict[int, str]) -> list[tuple[str, Pairs]]:
        kind = found[35]
        if kind == "A":
            return self._logon(line, found)
        if kind == "5":
            line.is_on = False
            return [("5", [])]
        if kind == "1":
            return [] if self.is_mute else [("0", [(112, found[112])])]
        if kind == "2":
            line.resend(int(found[7]), int(found[16]))
            return []
        if kind in "034" or not line.is_on:
            return []
        return desk_of(self)[kind](found)

    def _logon(self, line: Line, found: dict[int, str]) -> list[tuple[str, Pairs]]:
        others = self._others(line)
        if found.get(141) != "Y" or (found.get(553), found.get(554)) != (USER, PASSWORD):
            return [("5", [(58, f"wrong user or password: {found.get(554)}")])]
        if others and self.second_login == "refuse":
            return [("5", [(58, "this login is in use")])]
        for other in others:
            other.send("5", [(58, "logged on elsewhere")])
            other.cut()
        line.is_on, line.out = True, 1
        return [("A", [(98, 0), (108, found[108]), (141, "Y")])]

    def _others(self, line: Line) -> list[Line]:
        """Who else is logged on. One that has just left may not have been noticed yet: shortly wait for that."""

        def found() -> list[Line]:
            return [other for other in self.lines if other.is_on and other is not line]

        with self.news:
            self.news.wait_for(lambda: not found() or self.second_login == "kick", 1.0)
        return found()

    def _report_fill(self, order: Booked) -> None:
        """A fill is told to whoever is logged on, asked or not."""
        from assets.trading.tests.venues.fxcm_desk import report

        pairs = report(self, order, "F")
        for line in self.lines:
            if line.is_on:
                line.send("8", pairs)

    def next_exec_id(self) -> int:
        return next(self._exec_ids)


def desk_of(venue: FxcmVenue) -> dict[str, Callable[[dict[int, str]], list[tuple[str, Pairs]]]]:
    from assets.trading.tests.venues.fxcm_desk import Desk

    return Desk(venue).by_kind
