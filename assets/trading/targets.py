"""What a strategy wants to hold, and why. Values only: strategies are pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """One reason as code and number; the sentence is built when shown. `params` are JSON values, no NaN."""

    code: str
    value: float | None = None
    params: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {"code": self.code, "value": self.value, "params": dict(self.params)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """The position wanted in one instrument. Exactly one of `weight` and `quantity` is given.

    `weight` is signed value / equity of the account, `quantity` is signed units. `limit_price` None sends a
    market order. `dead_band` is the drift of weight (fraction of equity) below which nothing is traded;
    closing to 0 ignores it. `urgency` 0..1 orders entries among themselves, the most urgent first.
    """

    symbol: str
    weight: float | None = None
    quantity: Decimal | None = None
    limit_price: Decimal | None = None
    reasons: tuple[Reason, ...] = ()
    urgency: float = 0.5
    dead_band: float = 0.0
    sizing: Mapping[str, Any] = field(default_factory=dict)  # how the size was found, for the record

    def __post_init__(self) -> None:
        if (self.weight is None) == (self.quantity is None):
            raise ValueError(f"{self.symbol}: a target needs a weight or a quantity, not both")
        if self.weight is not None and not -1000 < self.weight < 1000:
            # NaN fails this comparison too.
            raise ValueError(
                f"{self.symbol}: a weight must be a finite fraction of equity, was {self.weight}"
            )
        if self.quantity is not None and not self.quantity.is_finite():
            raise ValueError(f"{self.symbol}: a quantity must be finite, was {self.quantity}")

    @property
    def closes(self) -> bool:
        """Wants to be flat."""
        return not (self.weight if self.weight is not None else self.quantity)
