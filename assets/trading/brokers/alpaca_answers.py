"""What an answer of Alpaca's proves: its codes, its words for the state of an order, and what cannot be read."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final

from assets.trading.brokers.base import Rejected, Unknown

NO_SUCH_ORDER: Final = 40410000
_DUPLICATE: Final = re.compile(r"client[ _-]?order[ _-]?id must be unique", re.I)

# What each code of a 4xx proves: the venue does not have the order and never will.
DEFINITIVE: Final[Mapping[int, str]] = {
    40010000: "malformed", 40010001: "bad_parameter", 40110000: "unauthorised", 40310000: "refused",
    40310100: "day_trading", 42210000: "unprocessable", 42910000: "rate_limited",
}  # fmt: skip
# Refusals at the door, before any order is read, have no code: status and the exact words.
AT_THE_DOOR: Final[Mapping[tuple[int, str], str]] = {
    (401, "unauthorized"): "bad_key", (403, "forbidden"): "bad_key", (429, "too many requests"): "rate_limited",
    (429, "rate limit exceeded"): "rate_limited",
}  # fmt: skip

# InvalidNumber is a ValueError.
UNREADABLE: Final = (KeyError, TypeError, ValueError, OverflowError, AttributeError)
OPEN: Final = {
    "new", "accepted", "pending_new", "accepted_for_bidding", "partially_filled", "pending_cancel", "pending_replace",
    "pending_review", "held", "stopped", "suspended", "calculated", "done_for_day",
}  # fmt: skip
ENDED: Final = {"filled": "filled", "canceled": "cancelled", "rejected": "rejected", "expired": "expired"}


class NoAnswer(Exception):
    """Nothing is known about what the venue did."""


class Refusal(Exception):
    """The venue answered with an error. `status` is HTTP's, `code` its own (0: none could be read)."""

    def __init__(self, status: int, code: int, text: str) -> None:
        super().__init__(text)
        self.status, self.code, self.text = status, code, text


def judged(refusal: Refusal) -> Rejected | Unknown:
    """Rejected only with a 4xx and a code or words that prove it. "Must be unique" proves the opposite."""
    door = AT_THE_DOOR.get((refusal.status, refusal.text.lower().rstrip("."))) if refusal.code == 0 else None
    word = DEFINITIVE.get(refusal.code) or door
    if word is None or not 400 <= refusal.status < 500 or _DUPLICATE.search(refusal.text):
        return Unknown(reason=f"HTTP {refusal.status}: {refusal.text}"[:200])
    return Rejected(code=word, message=refusal.text)


def refusal_of(error: Exception, status: int, secrets: tuple[str, str]) -> Refusal:
    """What alpaca-py's error for a 4xx says: the venue's code and words, the key taken out of them."""
    try:
        document = json.loads(str(error))
        text, code = str(document["message"]), int(document.get("code", 0))
    except UNREADABLE:
        return Refusal(status, 0, type(error).__name__)
    for part in secrets:
        text = text.replace(part, "***")
    return Refusal(status, code, text[:200])
