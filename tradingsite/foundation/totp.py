"""One-time codes of an authenticator app (RFC 6238: HMAC-SHA-1, six digits, 30 s) and recovery codes. Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import struct
from collections.abc import Iterable
from datetime import datetime
from typing import Final
from urllib.parse import quote, urlencode

STEP_S: Final = 30
DIGITS: Final = 6
TOLERANCE: Final = 1
"""Steps a phone's clock may be ahead or behind."""

RECOVERY_CODES: Final = 10
_SECRET_BYTES, _RECOVERY_BYTES = 20, 10


def new_secret() -> str:
    """160 random bits in base32, as authenticator apps take them."""
    return base64.b32encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def step_of(now: datetime) -> int:
    """The number of the 30 s step `now` (aware) lies in."""
    return int(now.timestamp()) // STEP_S


def code_at(secret: str, step: int) -> str:
    """The six digits of one step."""
    digest = hmac.new(base64.b32decode(secret), struct.pack(">Q", step), hashlib.sha1).digest()
    offset = digest[-1] & 0x0F
    number = struct.unpack(">I", digest[offset : offset + 4])[0] & 0x7FFFFFFF
    return f"{number % 10**DIGITS:0{DIGITS}d}"


def matching_step(secret: str, typed: str, now: datetime, *, after: int = -1) -> int | None:
    """The step whose code was typed, within ±TOLERANCE of `now` and later than step `after`; None when there is none.

    Every step is compared, and in constant time: how long it takes says nothing.
    """
    code, current, found = digits_of(typed), step_of(now), None
    for step in range(max(0, current - TOLERANCE), current + TOLERANCE + 1):
        is_equal = hmac.compare_digest(code_at(secret, step).encode(), code.encode())
        if is_equal and step > after:
            found = step
    return found


def digits_of(typed: str) -> str:
    """What was typed without the spaces apps show; "" when it cannot be a code."""
    code = "".join(typed.split())
    return code if len(code) == DIGITS and code.isascii() and code.isdigit() else ""


def uri(secret: str, *, name: str, issuer: str) -> str:
    """The otpauth:// address an app takes in by a QR code or a link."""
    label = quote(f"{issuer}:{name}", safe="")
    query = urlencode(
        {"secret": secret, "issuer": issuer, "digits": DIGITS, "period": STEP_S}, quote_via=quote
    )
    return f"otpauth://totp/{label}?{query}"


def grouped(text: str) -> str:
    """In groups of four, easier to copy by hand."""
    return " ".join(text[start : start + 4] for start in range(0, len(text), 4))


def new_recovery_codes() -> tuple[str, ...]:
    """Ten codes of 80 random bits, shown once: abcd-efgh-ijkl-mnop."""
    raw = (
        base64.b32encode(secrets.token_bytes(_RECOVERY_BYTES)).decode().lower()
        for _n in range(RECOVERY_CODES)
    )
    return tuple("-".join(text[start : start + 4] for start in range(0, 16, 4)) for text in raw)


def recovery_digest(typed: str, *, key: str) -> str:
    """What is kept of a recovery code: a keyed hash. Case, spaces and hyphens do not matter."""
    plain = "".join(typed.lower().split()).replace("-", "")
    return hmac.new(key.encode(), b"recovery" + plain.encode(), hashlib.sha256).hexdigest()


def recovery_match(typed: str, kept: Iterable[str], keys: Iterable[str]) -> str | None:
    """The stored digest `typed` belongs to, under one of the signing keys; every one of them is compared."""
    found = None
    candidates = [recovery_digest(typed, key=key) for key in keys]
    for digest in kept:
        for candidate in candidates:
            if hmac.compare_digest(digest, candidate):
                found = digest
    return found
