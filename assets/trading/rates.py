"""Conversion between assets through instruments' prices. Pure, exact inputs, Decimal results.

A dollar coin counts as one dollar (the assumption is reported, never hidden). A rate that needs more than
three steps, or whose instrument has no price, is unknown: unknown is None, never 0 and never 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Context, Decimal

_CONTEXT = Context(prec=50)
_MAX_STEPS = 3
PARITY = frozenset({"USD", "USDT", "USDC"})
"""Assets valued one to one with each other."""


@dataclass(frozen=True, slots=True)
class Edge:
    """One `base` costs `price` (> 0) of `quote`."""

    base: str
    quote: str
    price: Decimal


class Rates:
    """Rates into one currency, found once per asset. `used_parity` tells whether a dollar coin was taken for
    a dollar.
    """

    def __init__(self, currency: str, edges: Iterable[Edge]) -> None:
        self.currency = currency
        self.used_parity = False
        self._steps: dict[str, list[tuple[str, Decimal]]] = {}
        for edge in edges:
            if edge.price > 0:
                self._steps.setdefault(edge.base, []).append((edge.quote, edge.price))
                self._steps.setdefault(edge.quote, []).append(
                    (edge.base, _CONTEXT.divide(Decimal(1), edge.price))
                )
        self._found: dict[str, Decimal | None] = {currency: Decimal(1)}

    def rate(self, asset: str) -> Decimal | None:
        """How much of the currency one `asset` is worth; None when there is no way to tell."""
        if asset not in self._found:
            self._found[asset] = self._search(asset)
        return self._found[asset]

    def _search(self, asset: str) -> Decimal | None:
        if self._parity(asset):
            return Decimal(1)
        reached = {asset: Decimal(1)}
        frontier = [asset]
        for _step in range(_MAX_STEPS):
            following: list[str] = []
            for here in frontier:
                for there, price in self._steps.get(here, ()):
                    if there not in reached:
                        reached[there] = _CONTEXT.multiply(reached[here], price)
                        following.append(there)
            for candidate in following:
                if candidate == self.currency or self._parity(candidate):
                    return reached[candidate]
            frontier = following
        return None

    def _parity(self, asset: str) -> bool:
        same = asset != self.currency and asset in PARITY and self.currency in PARITY
        self.used_parity = self.used_parity or same
        return same
