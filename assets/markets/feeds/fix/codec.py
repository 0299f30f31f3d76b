"""The wire of FIX 4.4 on simplefix's codec: whole and sound frames only, exact numbers, UTC times.

simplefix checks neither length nor checksum, and after a broken field its parser does not find back. So frames are cut
out and proven here, and only a proven one is parsed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from simplefix import FixMessage, FixParser
from simplefix.errors import ParsingError

from tradingsite.foundation.clock import as_utc

BEGIN: Final = "FIX.4.4"
SOH: Final = "\x01"
LARGEST_BODY: Final = 2_000_000  # bytes; FXCM's list of all securities has some 100,000

_START: Final = b"8=FIX"
_HEAD: Final = re.compile(rb"8=FIX\.4\.4\x019=(\d{1,7})\x01")
_LONGEST_HEAD: Final = 20
_TRAILER: Final = re.compile(rb"\x0110=(\d{3})\x01")
_TRAILER_BYTES: Final = 7
_NUMBER: Final = re.compile(r"-?(\d+(\.\d*)?|\.\d+)", re.ASCII)
_WHOLE: Final = re.compile(r"\d{1,18}", re.ASCII)
_TIME: Final = re.compile(r"(\d{8})-(\d\d):(\d\d):(\d\d)(\.\d{1,9})?", re.ASCII)
_LONGEST_NUMBER: Final = 60

Pairs = Iterable[tuple[int, str]]


class Unreadable(ValueError):
    """A message or a field that is not what FIX says. Nothing may be concluded from it."""


@dataclass(frozen=True, slots=True)
class Message:
    """The fields as they came, in order. A field that is not there is an empty text (FIX knows no empty values)."""

    pairs: tuple[tuple[int, str], ...]

    @property
    def kind(self) -> str:
        return self.get(35)

    @property
    def is_duplicate(self) -> bool:
        """PossDupFlag: it may have been sent before."""
        return self.get(43) == "Y"

    def get(self, tag: int) -> str:
        return next((value for found, value in self.pairs if found == tag), "")

    def all(self, tag: int) -> list[str]:
        """Every value of a tag, for repeating groups."""
        return [value for found, value in self.pairs if found == tag]

    def need(self, tag: int) -> str:
        """The value. Raises Unreadable when it is missing."""
        value = self.get(tag)
        if not value:
            raise Unreadable(f"message {self.kind} has no field {tag}")
        return value

    def number(self, tag: int, default: Decimal | None = None) -> Decimal:
        """An exact number; `default` when the field is missing. Raises Unreadable."""
        if default is not None and not self.get(tag):
            return default
        return read_number(self.need(tag))

    def whole(self, tag: int) -> int:
        """A whole number, 0 or above. Raises Unreadable."""
        value = self.need(tag)
        if not _WHOLE.fullmatch(value):
            raise Unreadable(f"field {tag} is no whole number: {value[:20]!r}")
        return int(value)

    def time(self, tag: int) -> datetime:
        """A UTC time. Raises Unreadable."""
        return read_time(self.need(tag))


def write_number(value: Decimal) -> str:
    """FIX knows no exponent. Raises ValueError for what is not finite."""
    if not value.is_finite():
        raise ValueError(f"FIX cannot say {value}.")
    return f"{value:f}"


def read_number(text: str) -> Decimal:
    """Raises Unreadable."""
    if len(text) > _LONGEST_NUMBER or not _NUMBER.fullmatch(text):
        raise Unreadable(f"no number: {text[:20]!r}")
    return Decimal(text)


def write_time(at: datetime) -> str:
    """UTCTimestamp in milliseconds (what is smaller is cut off)."""
    at = as_utc(at)
    return f"{at.year:04d}{at:%m%d-%H:%M:%S}.{at.microsecond // 1000:03d}"


def read_time(text: str) -> datetime:
    """UTCTimestamp, seconds or finer; a leap second is the second after it. Raises Unreadable."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise Unreadable(f"no time: {text[:30]!r}")
    day, hours, minutes, seconds, part = found.groups()
    microseconds = int(f"{(part or '.')[1:7]:0<6}")
    leap = seconds == "60"
    try:
        at = datetime(
            int(day[:4]), int(day[4:6]), int(day[6:]), int(hours), int(minutes), 59 if leap else int(seconds),
            microseconds, UTC,
        )  # fmt: skip
        return at + timedelta(seconds=1) if leap else at
    except (ValueError, OverflowError) as e:
        raise Unreadable(f"no time: {text[:30]!r}") from e


def encode(kind: str, pairs: Pairs) -> bytes:
    """A whole message with length and checksum. Raises ValueError for values that would break out of their field."""
    message = FixMessage()
    message.append_pair(8, BEGIN)
    message.append_pair(35, kind)
    for tag, value in pairs:
        if not value or SOH in value:
            raise ValueError(f"Field {tag} cannot be sent: it is empty or has a separator in it.")
        message.append_pair(tag, value)
    return bytes(message.encode())


def decode(frame: bytes) -> Message:
    """The fields of one whole frame. Raises Unreadable."""
    parser = FixParser()
    parser.append_buffer(frame)
    try:
        found = parser.get_message()
        if found is None or parser.get_buffer():
            raise Unreadable("fields do not end where the message does")
        return Message(tuple((int(tag), value.decode("utf-8", "replace")) for tag, value in found.pairs))
    except (ParsingError, ValueError) as e:
        raise Unreadable(f"a message that cannot be read: {type(e).__name__}") from e


class Framer:
    """Cuts a stream into messages. What is broken is left out, as FIX wants; its number is missed and asked for again.

    `garbled` counts what was left out.
    """

    def __init__(self) -> None:
        self.garbled = 0
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """The messages that are complete now."""
        self._buffer += data
        found = []
        while (frame := self._next()) is not None:
            try:
                found.append(decode(frame))
            except Unreadable:
                self.garbled += 1
        return found

    def _next(self) -> bytes | None:
        while True:
            start = self._buffer.find(_START)
            if start < 0:
                del self._buffer[: 1 - len(_START)]  # the last bytes may be the beginning of a start
                return None
            if start:
                self._drop(start)
            head = _HEAD.match(self._buffer)
            if head is None:
                if len(self._buffer) < _LONGEST_HEAD:
                    return None
                self._drop(len(_START))
                continue
            end = head.end() + int(head[1]) + _TRAILER_BYTES
            following = self._buffer.find(b"\x01" + _START, head.end(), end)
            if following >= 0 or int(head[1]) > LARGEST_BODY:
                # Its length claims what belongs to the next: do not wait for bytes that never come.
                self._drop(following + 1 or len(_START))
                continue
            if len(self._buffer) < end:
                return None
            frame = bytes(self._buffer[:end])
            if _is_sound(frame):
                del self._buffer[:end]
                return frame
            self._drop(len(_START))

    def _drop(self, count: int) -> None:
        self.garbled += 1
        del self._buffer[:count]


def _is_sound(frame: bytes) -> bool:
    trailer = _TRAILER.fullmatch(frame[-_TRAILER_BYTES - 1 :])
    return trailer is not None and sum(frame[:-_TRAILER_BYTES]) % 256 == int(trailer[1])
