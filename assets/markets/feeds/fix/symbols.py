"""Pairs of currencies: EURUSD here, EUR/USD on the wire."""

from __future__ import annotations

from typing import Final

_CURRENCY: Final = 3


def to_venue(symbol: str) -> str:
    """EURUSD as the venue writes it. Raises ValueError for what is no pair of two currencies."""
    if len(symbol) != 2 * _CURRENCY or not symbol.isascii() or not symbol.isalpha() or not symbol.isupper():
        raise ValueError(f"{symbol!r} is no pair of two currencies.")
    return f"{symbol[:_CURRENCY]}/{symbol[_CURRENCY:]}"


def from_venue(symbol: str) -> str:
    """EUR/USD as we write it; anything else as it is."""
    base, slash, quote = symbol.partition("/")
    return base + quote if slash and len(base) == len(quote) == _CURRENCY else symbol
