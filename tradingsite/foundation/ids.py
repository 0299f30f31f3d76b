"""Identifiers."""

from __future__ import annotations

import base64
import hashlib
import uuid

_ORDER_ID_LENGTH = 32


def client_order_id(*parts: object) -> str:
    """The same id for the same parts, always: "ts" and 30 base32 characters (150 bits), letters and digits only.

    32 characters is what the strictest venue accepts. Being deterministic, a repeated submission cannot
    become a second order.
    """
    digest = hashlib.sha256()
    for part in parts:
        raw = str(part).encode()
        # The length keeps ("a", "bc") and ("ab", "c") apart.
        digest.update(len(raw).to_bytes(8, "big"))
        digest.update(raw)
    return ("ts" + base64.b32encode(digest.digest()).decode().lower())[:_ORDER_ID_LENGTH]


def request_id() -> str:
    """A random id of one request or one run of a command (32 hex digits)."""
    return uuid.uuid4().hex
