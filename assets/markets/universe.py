"""Which instruments exist: asset types declare them here in `ready()`, `services.instruments` stores them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

DEMO_SUFFIX: Final = ".DEMO"
DEMO_VENUE: Final = "simulated"


@dataclass(frozen=True, kw_only=True, slots=True)
class InstrumentSpec:
    """The fields of `Instrument` plus how its simulated twin moves.

    `fee_rate` is a fraction of the notional, spreads and slippage are basis points (never 0).
    """

    symbol: str
    base: str
    quote: str
    venue: str
    calendar: str  # 24x7, fx-week, XNYS
    timeframe: str = "1m"  # the finest one its feed brings
    name: str = ""
    asset_type: str = ""  # filled in by `register`
    tick_size: Decimal = Decimal("0.01")
    lot_step: Decimal = Decimal("0.00001")
    min_quantity: Decimal = Decimal("0.00001")
    min_notional: Decimal = Decimal("10")
    fee_rate: Decimal = Decimal("0.001")
    half_spread_bps: float = 1.0
    slippage_bps: float = 1.0
    is_active: bool = True
    is_demo: bool = False
    # Simulation only
    demo: bool = True  # make a `.DEMO` twin
    demo_price: float = 100.0  # level its price keeps coming back to
    demo_volatility: float = 0.5  # annualised, 0.5 = 50 %
    demo_correlation: float = 0.5  # with the common factor of all simulated instruments, -1 .. 1

    def twin(self) -> InstrumentSpec:
        """The simulated instrument that stands in for this one."""
        return replace(self, symbol=self.symbol + DEMO_SUFFIX, venue=DEMO_VENUE, is_demo=True, timeframe="1m")


_specs: dict[str, InstrumentSpec] = {}


def register(asset_type: str, specs: Iterable[InstrumentSpec]) -> None:
    """Declare instruments of an asset type. Idempotent; raises ValueError when a symbol belongs to another type."""
    for spec in specs:
        known = _specs.get(spec.symbol)
        if known is not None and known.asset_type != asset_type:
            raise ValueError(f"{spec.symbol} belongs to {known.asset_type} and to {asset_type}")
        if spec.half_spread_bps <= 0 or spec.slippage_bps <= 0:
            raise ValueError(f"{spec.symbol}: spread and slippage must be above 0 basis points")
        _specs[spec.symbol] = replace(spec, asset_type=asset_type)


def unregister(asset_type: str) -> None:
    """For tests that plug in a toy type."""
    for symbol in [symbol for symbol, spec in _specs.items() if spec.asset_type == asset_type]:
        del _specs[symbol]


def declared() -> tuple[InstrumentSpec, ...]:
    """All specs in order of registration, without twins."""
    return tuple(_specs.values())


def complete() -> tuple[InstrumentSpec, ...]:
    """All specs, each followed by its simulated twin."""
    result: list[InstrumentSpec] = []
    for spec in _specs.values():
        result.append(spec)
        if spec.demo:
            result.append(spec.twin())
    return tuple(result)


def find(symbol: str) -> InstrumentSpec | None:
    """The spec of a symbol or of a simulated twin."""
    if symbol.endswith(DEMO_SUFFIX):
        real = _specs.get(symbol.removesuffix(DEMO_SUFFIX))
        return real.twin() if real is not None and real.demo else None
    return _specs.get(symbol)


def asset_types() -> tuple[str, ...]:
    return tuple(dict.fromkeys(spec.asset_type for spec in _specs.values()))
