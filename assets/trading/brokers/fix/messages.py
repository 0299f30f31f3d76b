"""What is asked of the venue and what it answers, as typed values. Symbols outside are ours (EURUSD), on the wire the venue's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from assets.markets.feeds.fix.codec import Message, Unreadable, write_number, write_time
from assets.markets.feeds.fix.symbols import from_venue, to_venue

Fields = list[tuple[int, str]]
ZERO: Final = Decimal(0)

NEW_ORDER, CANCEL, STATUS, MASS_STATUS = "D", "F", "H", "AF"
COLLATERAL_INQUIRY, POSITIONS_REQUEST, TRADES_REQUEST, SESSION_REQUEST = "BB", "AN", "AD", "g"
EXECUTION_REPORT, CANCEL_REJECT, BUSINESS_REJECT, REJECT = "8", "9", "j", "3"
COLLATERAL_REPORT, COLLATERAL_ACK, POSITION_REPORT, POSITIONS_ACK = "BA", "BG", "AP", "AO"
TRADE_REPORT, TRADES_ACK, SESSION_STATUS = "AE", "AQ", "h"

_SIDES: Final = {"buy": "1", "sell": "2"}
_NO_ID: Final = ("", "NONE", "0")


# --- Requests ---------------------------------------------------------------------------------------------------


def new_order(
    *, account: str, client_id: str, symbol: str, side: str, quantity: Decimal, limit: Decimal | None, now: datetime
) -> Fields:  # fmt: skip
    """NewOrderSingle, good till cancelled: our own clock decides when it is too old."""
    price = [] if limit is None else [(44, write_number(limit))]
    return [
        (1, account), (11, client_id), (38, write_number(quantity)), (40, "1" if limit is None else "2"), *price,
        (54, _SIDES[side]), (55, to_venue(symbol)), (59, "1"), (60, write_time(now)),
    ]  # fmt: skip


def cancel(
    *, account: str, request_id: str, client_id: str, venue_id: str, symbol: str, side: str, quantity: Decimal, now: datetime
) -> Fields:  # fmt: skip
    """OrderCancelRequest."""
    return [
        (1, account), (11, request_id), (41, client_id), *([(37, venue_id)] if venue_id else []),
        (38, write_number(quantity)), (54, _SIDES[side]), (55, to_venue(symbol)), (60, write_time(now)),
    ]  # fmt: skip


def status(*, account: str, request_id: str, client_id: str, symbol: str, side: str) -> Fields:
    """OrderStatusRequest by our id."""
    return [
        (1, account), (11, client_id), (790, request_id), (54, _SIDES[side]), (55, to_venue(symbol))
    ]  # fmt: skip


def mass_status(*, account: str, request_id: str) -> Fields:
    """OrderMassStatusRequest: all orders that wait."""
    return [(584, request_id), (585, "7"), (1, account)]


def trades(*, account: str, request_id: str, venue_id: str) -> Fields:
    """TradeCaptureReportRequest: every execution of one order."""
    return [(568, request_id), (569, "1"), (263, "0"), (37, venue_id), (1, account)]


def collateral(*, request_id: str) -> Fields:
    """CollateralInquiry: the accounts of this login."""
    return [(909, request_id), (263, "0")]


def positions(*, account: str, request_id: str, now: datetime) -> Fields:
    """RequestForPositions: the open ones, once."""
    return [
        (710, request_id), (724, "0"), (263, "0"), (1, account), (581, "6"), (715, f"{now:%Y%m%d}"), (60, write_time(now))
    ]  # fmt: skip


def session_status(*, request_id: str) -> Fields:
    """TradingSessionStatusRequest: what the venue says of itself."""
    return [(335, request_id), (263, "0")]


# --- Answers ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """An ExecutionReport. `venue_id` is empty when the venue has no such order; `at` None when it does not say."""

    client_id: str
    original_id: str
    venue_id: str
    exec_id: str
    exec_type: str
    status: str
    symbol: str
    quantity: Decimal
    filled: Decimal
    average: Decimal
    at: datetime | None
    reason: str  # OrdRejReason
    text: str
    request_id: str
    mass_id: str
    total: str  # TotNumReports
    is_last: bool

    @property
    def is_answer_to_status(self) -> bool:
        return self.exec_type == "I" or bool(self.request_id or self.mass_id)


def read_report(message: Message) -> Report:
    """Raises Unreadable."""
    venue_id = message.get(37)
    return Report(
        client_id=message.get(11), original_id=message.get(41), venue_id="" if venue_id in _NO_ID else venue_id,
        exec_id=message.get(17), exec_type=message.need(150), status=message.need(39),
        symbol=from_venue(message.get(55)), quantity=message.number(38, ZERO), filled=message.number(14, ZERO),
        average=message.number(6, ZERO), at=message.time(60) if message.get(60) else None, reason=message.get(103),
        text=message.get(58)[:200], request_id=message.get(790), mass_id=message.get(584), total=message.get(911),
        is_last=message.get(912) == "Y",
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Trade:
    """One execution. `fee_asset` is empty when the venue says no fee."""

    exec_id: str
    venue_id: str
    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_asset: str
    at: datetime


def read_trade(message: Message) -> Trade:
    """Raises Unreadable."""
    quantity, price = message.number(32), message.number(31)
    if quantity <= 0 or price <= 0:
        raise Unreadable(f"a trade of {quantity} at {price}")
    return Trade(
        exec_id=message.need(17), venue_id=message.need(37), quantity=quantity, price=price,
        fee=message.number(12, ZERO), fee_asset=message.get(479), at=message.time(60),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Collateral:
    """One account of the login. `cash` is its balance without what open positions have won or lost."""

    account: str
    cash: Decimal
    currency: str
    is_hedging: bool
    is_last: bool


def read_collateral(message: Message) -> Collateral:
    """Raises Unreadable."""
    kinds = dict(_following(message, 523, 803))
    return Collateral(
        account=message.need(1), cash=message.number(901), currency=message.get(15), is_hedging=kinds.get("4000") == "Y",
        is_last=message.get(912) == "Y",
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Position:
    """One open position: `quantity` of `base`, short below 0, bought at `price` of `quote`. `total` in this answer."""

    id: str
    account: str
    base: str
    quote: str
    quantity: Decimal
    price: Decimal
    total: int


def read_position(message: Message) -> Position:
    """Raises Unreadable, also for what is no pair of currencies."""
    base, slash, quote = message.need(55).partition("/")
    if not slash or not base or not quote:
        raise Unreadable(f"a position in {message.get(55)[:20]!r}, which is no pair of currencies")
    return Position(
        id=message.get(9041) or message.need(721), account=message.need(1), base=base, quote=quote,
        quantity=message.number(704, ZERO) - message.number(705, ZERO), price=message.number(730),
        total=message.whole(727),
    )  # fmt: skip


def read_parameters(message: Message) -> dict[str, str]:
    """What the venue says of itself in a TradingSessionStatus, by name."""
    return dict(_following(message, 9018, 9017))


def _following(message: Message, value_tag: int, name_tag: int) -> Iterable[tuple[str, str]]:
    """(name, value) of a repeating group of two fields, whichever stands first."""
    found = [(tag, value) for tag, value in message.pairs if tag in (value_tag, name_tag)]
    for one, two in zip(found[::2], found[1::2], strict=False):
        pair = dict((one, two))
        if len(pair) == 2:
            yield (pair[name_tag], pair[value_tag])


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """The venue did not take a message: session level (3), business level (j). `reason` is its number."""

    kind: str
    seq: str
    of_kind: str
    of_id: str
    reason: str
    text: str


def read_refusal(message: Message) -> Refusal:
    is_session = message.kind == REJECT
    return Refusal(
        kind=message.kind, seq=message.get(45), of_kind=message.get(372), of_id=message.get(379),
        reason=message.get(373 if is_session else 380), text=message.get(58)[:200],
    )  # fmt: skip
