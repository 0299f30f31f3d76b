"""What FXCM on loopback answers to orders and questions: application messages only, as pairs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from assets.trading.tests.venues.book import ZERO, Booked, Refused, Trade

if TYPE_CHECKING:
    from assets.trading.tests.venues.fxcm import FxcmVenue, Pairs

Answers = list[tuple[str, "Pairs"]]


class Desk:
    """One question at a time."""

    def __init__(self, venue: FxcmVenue) -> None:
        self.venue, self.book = venue, venue.book
        self.by_kind: dict[str, Callable[[dict[int, str]], Answers]] = {
            "D": self.place, "F": self.cancel, "H": self.status, "AF": self.mass_status, "AD": self.trades,
            "BB": self.collateral, "AN": self.positions, "g": self.session, "V": self.prices,
        }  # fmt: skip

    # --- Orders -------------------------------------------------------------------------------------------------

    def place(self, found: dict[int, str]) -> Answers:
        client_id, symbol, quantity = found[11], found[55], Decimal(found[38])
        limit = Decimal(found[44]) if found[40] == "2" else None
        problem = self._problem(found, symbol, quantity)
        if problem:
            return [("8", rejection(self.venue, found, *problem))]
        if any(row.client_id == client_id for row in self.book.orders.values()):
            return [("8", rejection(self.venue, found, "6", "Duplicate Order"))]
        try:
            order = self.book.accept(
                client_id, symbol, "buy" if found[54] == "1" else "sell", quantity, limit
            )
        except Refused as e:
            return [("8", rejection(self.venue, found, "", e.text))]
        return [("8", report(self.venue, order, "0", status="0", filled=ZERO))]

    def _problem(self, found: dict[int, str], symbol: str, quantity: Decimal) -> tuple[str, str] | None:
        from assets.trading.tests.venues.fxcm import STEP

        if found.get(1) not in self.venue.accounts:
            return ("15", "No Account specified")
        if symbol not in self.book.pairs:
            return ("1", "Unknown symbol")
        return ("13", "Incorrect quantity") if quantity <= 0 or quantity % STEP else None

    def cancel(self, found: dict[int, str]) -> Answers:
        try:
            order = self._by_client(found[41])
            self.book.cancel(order)
        except Refused as e:
            reason = "1" if e.code == -2013 else "0"
            pairs = [
                (37, "NONE"),
                (11, found[11]),
                (41, found[41]),
                (39, "8"),
                (434, 1),
                (102, reason),
                (58, e.text),
            ]
            return [("9", pairs)]
        done = report(self.venue, order, "4", client_id=found[11])
        pending = report(self.venue, order, "6", status="6", client_id=found[11])
        return [("8", [*pending, (41, found[41])]), ("8", [*done, (41, found[41])])]

    def status(self, found: dict[int, str]) -> Answers:
        echo = [] if self.venue.echoes_no_ids else [(790, found[790])]
        try:
            order = self._by_client(found[11])
        except Refused:
            return [("8", [*rejection(self.venue, found, "5", "Unknown order", kind="I"), *echo])]
        return [("8", [*report(self.venue, order, "I"), *echo])]

    def mass_status(self, found: dict[int, str]) -> Answers:
        rows = [row for row in self.book.orders.values() if row.status == "open"]
        if not rows:
            nothing = [
                (37, "NONE"),
                (17, 0),
                (150, "I"),
                (39, "8"),
                (584, found[584]),
                (911, 0),
                (912, "Y"),
                (58, "none"),
            ]
            return [("8", nothing)]
        return [
            ("8", [*report(self.venue, row, "I"), (584, found[584]), (911, len(rows)), *last(row is rows[-1])]) for row in rows
        ]  # fmt: skip

    def trades(self, found: dict[int, str]) -> Answers:
        if self.venue.lists_no_trades:
            return [("j", [(45, found[34]), (372, "AD"), (380, 3), (58, "Unsupported message type")])]
        order = self.book.orders.get(int(found[37]))
        rows = order.trades if order else []
        head = [(568, found[568]), (748, len(rows))]
        ack = ("AQ", [*head, (569, 1), (749, 0), (750, 0)])
        return [ack, *(("AE", [*head, *self._trade(order, row), *last(row is rows[-1])]) for row in rows)]

    def _trade(self, order: Booked, row: Trade) -> Pairs:
        return [
            (571, row.id), (17, f"E{row.id}"), (570, "N"), (55, order.symbol), (32, plain(row.quantity)), (31, plain(row.price)),
            (75, f"{row.at:%Y%m%d}"), (60, stamp(row)), (552, 1), (54, side(order)), (37, order.id),
            (11, order.client_id), (12, plain(row.fee)), (479, row.fee_asset),
        ]  # fmt: skip

    def _by_client(self, client_id: str) -> Booked:
        with self.book.lock:
            for order in reversed(self.book.orders.values()):
                if order.client_id == client_id:
                    return order
        raise Refused(-2013, "Unknown order")

    # --- The account --------------------------------------------------------------------------------------------

    def collateral(self, found: dict[int, str]) -> Answers:
        rows = self.venue.accounts
        return [
            ("BA", [
                (1, number), (53, 1000), (336, "FXCM"), (901, plain(self._cash())), (909, found[909]), (911, len(rows)),
                *([(15, self.venue.currency)] if self.venue.currency else []),
                (453, 1), (448, "FXCM ID"), (447, "D"), (452, 3), (802, 2), (523, number), (803, 10),
                (523, self.venue.position_maintenance), (803, 4000), *last(number == rows[-1]),
            ])
            for number in rows
        ]  # fmt: skip

    def _cash(self) -> Decimal:
        """The balance: what was paid for open positions is still in it, as at a margin account."""
        return self.book.balances["USD"] + sum(
            (quantity * price for _pair, quantity, price in self._open()), ZERO
        )

    def _open(self) -> list[tuple[str, Decimal, Decimal]]:
        """Open positions, netted first in, first out: (pair, signed quantity, price)."""
        open_: list[tuple[str, Decimal, Decimal]] = []
        done = [(row.at, row.id, order, row) for order in self.book.orders.values() for row in order.trades]
        for _at, _id, order, row in sorted(done, key=lambda item: item[1]):
            left = row.quantity if order.side == "buy" else -row.quantity
            rest = []
            for pair, quantity, price in open_:
                if pair == order.symbol and left * quantity < 0:
                    used = min(abs(left), abs(quantity)) * (1 if quantity > 0 else -1)
                    quantity, left = quantity - used, left + used
                if quantity:
                    rest.append((pair, quantity, price))
            open_ = [*rest, *([(order.symbol, left, row.price)] if left else [])]
        return open_

    def positions(self, found: dict[int, str]) -> Answers:
        rows = self._open()
        if not rows:
            return [("AO", [(710, found[710]), (721, 0), (727, 0), (728, 2), (58, "No open positions")])]
        ack = ("AO", [(710, found[710]), (721, 0), (727, len(rows)), (728, 0)])
        return [
            ack,
            *(
                ("AP", [
                    (710, found[710]), (721, 100 + number), (1, found[1]), (55, pair), (724, 0), (727, len(rows)), (728, 0),
                    (730, plain(price)), (9041, 900 + number), (702, 1), (703, "TQ"),
                    (704 if quantity > 0 else 705, plain(abs(quantity))), *last(number == len(rows) - 1),
                ])
                for number, (pair, quantity, price) in enumerate(rows)
            ),
        ]  # fmt: skip

    def session(self, found: dict[int, str]) -> Answers:
        told = [
            field for name, value in self.venue.parameters.items() for field in ((9017, name), (9018, value))
        ]
        return [
            ("h", [(335, found[335]), (336, "FXCM"), (340, 2), (9016, len(self.venue.parameters)), *told])
        ]

    def prices(self, found: dict[int, str]) -> Answers:
        if found[263] == "2":
            self.venue.subscribed.pop(found[55])
            return []
        price = self.book.prices.get(found[55])
        if price is None:
            return [("Y", [(262, found[262]), (281, 0), (58, "Unknown symbol")])]
        self.venue.subscribed[found[55]] = found[262]
        half = Decimal("0.01")
        return [("W", snapshot(found[262], found[55], price - half, price + half, self.venue.now()))]


def snapshot(
    request_id: str, symbol: str, bid: Decimal, ask: Decimal, at: datetime, condition: str = "A"
) -> Pairs:
    """A MarketDataSnapshotFullRefresh: bid, ask, and the day's high and low as the venue adds them."""
    when = [(272, f"{at:%Y%m%d}"), (273, f"{at:%H:%M:%S}.{at.microsecond // 1000:03d}"), (276, condition)]
    sides = [
        (269, 0),
        (270, plain(bid)),
        *when,
        (269, 1),
        (270, plain(ask)),
        *when,
        (269, 7),
        (270, 999),
        (269, 8),
        (270, 1),
    ]
    return [(262, request_id), (55, symbol), (268, 4), *sides]


def report(
    venue: FxcmVenue,
    order: Booked,
    kind: str,
    *,
    status: str = "",
    filled: Decimal | None = None,
    client_id: str = "",
) -> Pairs:
    """An ExecutionReport of an order as it stands."""
    from assets.trading.tests.venues.fxcm import NUMBER, STATUS

    done = order.filled if filled is None else filled
    word = status or ("1" if order.status == "open" and done else STATUS[order.status])
    worth = sum((row.quantity * row.price for row in order.trades), ZERO)
    newest = order.trades[-1] if order.trades and kind == "F" else None
    return [
        (1, NUMBER), (6, plain((worth / done).quantize(Decimal("1e-12"))) if done else 0), *([(11, client_id or order.client_id)] if order.client_id else []),
        (14, plain(done)), (17, f"E{newest.id}" if newest else f"R{venue.next_exec_id()}"),
        (31, plain(newest.price) if newest else 0), (32, plain(newest.quantity) if newest else 0), (37, order.id),
        (38, plain(order.quantity)), (39, word), (40, "2" if order.limit else "1"), (54, side(order)), (55, order.symbol),
        (59, 1), (60, f"{order.at:%Y%m%d-%H:%M:%S}"), (150, kind), (151, plain(order.quantity - done)),
        (9051, "F" if word == "2" else "W"),
    ]  # fmt: skip


def rejection(venue: FxcmVenue, found: dict[int, str], reason: str, text: str, kind: str = "8") -> Pairs:
    return [
        (6, 0), (11, found[11]), (14, 0), (17, 0), (37, "NONE"), (38, found.get(38, "0")), (39, "8"), (54, found[54]),
        (55, found[55]), (58, text), *([(103, reason)] if reason else []), (150, kind), (151, 0),
    ]  # fmt: skip


def last(is_it: bool) -> Pairs:
    return [(912, "Y" if is_it else "N")]


def side(order: Booked) -> str:
    return "1" if order.side == "buy" else "2"


def stamp(row: Trade) -> str:
    return f"{row.at:%Y%m%d-%H:%M:%S}"


def plain(value: Decimal) -> str:
    return f"{value:f}"
