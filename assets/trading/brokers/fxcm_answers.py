"""Which message answers which question to FXCM, and what it proves. Readers give None for what is not their business."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final, Generic, TypeVar

from assets.markets.feeds.fix.codec import Message, Unreadable
from assets.markets.feeds.fix.line import Reader
from assets.trading.brokers.base import Accepted, Rejected, Unknown
from assets.trading.brokers.fix import messages as fix

V = TypeVar("V")

UNKNOWN_ORDER: Final = "5"
PRICE_STEP: Final = Decimal("1e-10")

# What each reason proves: the venue does not have the order and never will. Everything else proves nothing; "6",
# duplicate order, proves the opposite.
ORDER_REASONS: Final[Mapping[str, str]] = {
    "1": "unknown_symbol", "2": "exchange_closed", "3": "exceeds_limit", "4": "too_late", "8": "stale",
    "11": "unsupported_order", "13": "bad_quantity", "15": "unknown_account",
}  # fmt: skip
# The venue's own codes in the text of a rejection, as its documentation explains them. 20103, session expired, is none.
ORA_CODES: Final[Mapping[str, str]] = {
    "20008": "validation", "20102": "no_access", "20105": "bad_price", "20112": "bad_limit", "20113": "margin",
    "20143": "far_from_market",
}  # fmt: skip
# Business level: the application did not take the message in.
BUSINESS_REASONS: Final[Mapping[str, str]] = {
    "2": "unknown_symbol", "3": "unsupported_message", "5": "field_missing", "6": "not_authorised"
}  # fmt: skip
# Session level: the message never reached the application.
SESSION_REASONS: Final[Mapping[str, str]] = {
    "0": "malformed", "1": "malformed", "2": "malformed", "3": "malformed", "4": "malformed", "5": "malformed",
    "6": "malformed", "9": "malformed", "10": "stale", "11": "unsupported_message", "13": "malformed",
    "14": "malformed", "15": "malformed", "16": "malformed",
}  # fmt: skip

_ORA: Final = re.compile(r"ORA-(\d{5})", re.ASCII)
_OPEN: Final = frozenset("0135679AE")
_ENDED: Final = {"2": "filled", "4": "cancelled", "C": "expired"}


class Refused(Exception):
    """The venue did not take the question."""

    def __init__(self, refusal: fix.Refusal) -> None:
        super().__init__(refusal.text or f"reason {refusal.reason}")
        self.refusal = refusal

    @property
    def is_unsupported(self) -> bool:
        """It does not know this kind of message at all."""
        return self.refusal.reason == ("11" if self.refusal.kind == fix.REJECT else "3")


def status_word(report: fix.Report) -> str | None:
    """Our word for the status; None for one nobody knows. A rest that is rejected after a part was filled is a cancel."""
    if report.status in _OPEN:
        return "open"
    if report.status == "8":
        return "cancelled" if report.filled else "rejected"
    return _ENDED.get(report.status)


# --- One answer -------------------------------------------------------------------------------------------------


def of_order(client_id: str) -> Reader[Accepted | Rejected | Unknown]:
    """What became of a new order, by its first report that says so."""

    def read(message: Message, seq: int) -> Accepted | Rejected | Unknown | None:
        refusal = _refusal(message, seq, client_id)
        if refusal is not None:
            table = SESSION_REASONS if refusal.kind == fix.REJECT else BUSINESS_REASONS
            return _judged(table.get(refusal.reason), refusal.text or f"reason {refusal.reason}")
        if message.kind != fix.EXECUTION_REPORT or message.get(11) != client_id:
            return None
        report = fix.read_report(message)
        if report.is_answer_to_status or report.status == "A":
            return None
        if report.status == "8" and not report.filled:
            return _judged(_proof(report), report.text or f"reason {report.reason or 'none'}")
        if status_word(report) is None or not report.venue_id or report.at is None:
            return Unknown(reason=f"a report without order id or time: status {report.status!r}")
        return Accepted(venue_id=report.venue_id, at=report.at)

    return read


def _proof(report: fix.Report) -> str | None:
    ora = _ORA.search(report.text)
    return ORDER_REASONS.get(report.reason) or (ORA_CODES.get(ora[1]) if ora else None)


def _judged(word: str | None, text: str) -> Rejected | Unknown:
    return Unknown(reason=text[:200]) if word is None else Rejected(code=word, message=text)


def of_cancel(request_id: str, client_id: str) -> Reader[bool]:
    """Whether the order is cancelled now. A cancel that is pending is no answer yet."""

    def read(message: Message, seq: int) -> bool | None:
        _raise_refusal(message, seq, request_id)
        if message.kind == fix.CANCEL_REJECT and message.get(11) == request_id:
            return False
        if message.kind != fix.EXECUTION_REPORT:
            return None
        if client_id not in (message.get(11), message.get(41)):
            return None
        report = fix.read_report(message)
        if report.is_answer_to_status or status_word(report) in (None, "open"):
            return None
        return status_word(report) == "cancelled"

    return read


def of_status(request_id: str, client_id: str) -> Reader[fix.Report]:
    def read(message: Message, seq: int) -> fix.Report | None:
        _raise_refusal(message, seq, request_id)
        if message.kind != fix.EXECUTION_REPORT:
            return None
        report = fix.read_report(message)
        if report.request_id:
            return report if report.request_id == request_id else None
        # A venue that does not repeat the id of the question: then its kind and our order tell.
        is_mine = report.client_id == client_id and report.exec_type == "I" and not report.mass_id
        return report if is_mine else None

    return read


def of_session(request_id: str) -> Reader[dict[str, str]]:
    def read(message: Message, seq: int) -> dict[str, str] | None:
        _raise_refusal(message, seq, request_id)
        is_mine = message.kind == fix.SESSION_STATUS and message.get(335) == request_id
        return fix.read_parameters(message) if is_mine else None

    return read


def of_test_request(test_id: str) -> Reader[datetime]:
    def read(message: Message, seq: int) -> datetime | None:
        return message.time(52) if message.kind == "0" and message.get(112) == test_id else None

    return read


# --- Answers in parts -------------------------------------------------------------------------------------------


class _Parts(Generic[V]):
    """Parts by id: one that comes twice counts once. Whole when as many are there as were announced, or at the last."""

    def __init__(self) -> None:
        self.found: dict[str, V] = {}
        self.total: int | None = None
        self.is_last = False

    def expect(self, total: str) -> None:
        if total:
            if not total.isdigit():
                raise Unreadable(f"no number of parts: {total[:20]!r}")
            self.total = int(total)

    @property
    def whole(self) -> tuple[V, ...] | None:
        is_whole = self.is_last if self.total is None else len(self.found) >= self.total
        return tuple(self.found.values()) if is_whole else None


Take = Callable[[Message, _Parts[V]], bool]
"""Reads a message into the parts; False when it is not one of them."""


def _in_parts(request_id: str, take: Take[V]) -> Reader[tuple[V, ...]]:
    parts: _Parts[V] = _Parts()

    def read(message: Message, seq: int) -> tuple[V, ...] | None:
        _raise_refusal(message, seq, request_id)
        return parts.whole if take(message, parts) else None

    return read


def of_mass_status(request_id: str) -> Reader[tuple[fix.Report, ...]]:
    def take(message: Message, parts: _Parts[fix.Report]) -> bool:
        if message.kind != fix.EXECUTION_REPORT or message.get(584) != request_id:
            return False
        report = fix.read_report(message)
        parts.expect(report.total)
        parts.is_last = parts.is_last or report.is_last
        if report.venue_id:
            parts.found[report.venue_id] = report
        elif parts.total != 0:
            raise Unreadable(f"a report of no order: {report.text}")
        return True

    return _in_parts(request_id, take)


def of_collateral(request_id: str) -> Reader[tuple[fix.Collateral, ...]]:
    def take(message: Message, parts: _Parts[fix.Collateral]) -> bool:
        if message.kind != fix.COLLATERAL_REPORT or message.get(909) not in ("", request_id):
            return False
        found = fix.read_collateral(message)
        parts.found[found.account] = found
        parts.expect(message.get(911))
        parts.is_last = parts.is_last or found.is_last
        return True

    return _in_parts(request_id, take)


def of_positions(request_id: str) -> Reader[tuple[fix.Position, ...]]:
    def take(message: Message, parts: _Parts[fix.Position]) -> bool:
        if message.get(710) != request_id:
            return False
        if message.kind == fix.POSITIONS_ACK:
            result = message.need(728)
            if result not in ("0", "2"):
                raise Unreadable(f"positions refused: {message.get(58)[:100] or result}")
            parts.expect("0" if result == "2" else message.get(727))
        elif message.kind == fix.POSITION_REPORT:
            found = fix.read_position(message)
            parts.found[found.id] = found
            parts.expect(str(found.total))
        return True

    return _in_parts(request_id, take)


def of_trades(request_id: str) -> Reader[tuple[fix.Trade, ...]]:
    def take(message: Message, parts: _Parts[fix.Trade]) -> bool:
        if message.get(568) != request_id:
            return False
        if message.kind == fix.TRADES_ACK:
            if message.get(749) not in ("", "0"):
                raise Unreadable(f"trades refused: {message.get(58)[:100] or message.get(749)}")
        elif message.kind == fix.TRADE_REPORT:
            found = fix.read_trade(message)
            parts.found[f"{found.venue_id}-{found.exec_id}"] = found
            parts.is_last = parts.is_last or message.get(912) == "Y"
        parts.expect(message.get(748))
        return True

    return _in_parts(request_id, take)


# --- Refusals ---------------------------------------------------------------------------------------------------


def _refusal(message: Message, seq: int, request_id: str) -> fix.Refusal | None:
    """Reject or BusinessMessageReject of the message with that number or id."""
    if message.kind not in (fix.REJECT, fix.BUSINESS_REJECT):
        return None
    found = fix.read_refusal(message)
    is_mine = found.seq == str(seq) or (found.kind == fix.BUSINESS_REJECT and found.of_id == request_id)
    return found if is_mine else None


def _raise_refusal(message: Message, seq: int, request_id: str) -> None:
    refusal = _refusal(message, seq, request_id)
    if refusal is not None:
        raise Refused(refusal)
