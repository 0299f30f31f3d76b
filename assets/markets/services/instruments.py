"""Instruments as declared by the asset types, kept in step with the table."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from django.db import transaction

from assets.markets import filenames, universe
from assets.markets.models import Instrument
from assets.markets.selectors.pages import is_demo_feed
from assets.markets.universe import InstrumentSpec
from tradingsite.foundation.errors import NotFound

_COLUMNS: Final = tuple(field.name for field in fields(InstrumentSpec) if not field.name.startswith("demo"))
# What a venue may tell us more exactly later, and what a person may switch: set once, never overwritten.
_KEPT: Final = frozenset(
    {"symbol", "is_active", "tick_size", "lot_step", "min_quantity", "min_notional", "fee_rate"}
)


def sync_universe(now: datetime, *, with_demo: bool | None = None) -> int:
    """Create what is declared and missing, simulated twins `with_demo` (where the simulated feed is on), and refresh descriptions.

    Idempotent. Returns how many rows were created or changed. Rows nobody declares any more stay: their candles are history.
    """
    changed, is_demo = 0, is_demo_feed() if with_demo is None else with_demo
    with transaction.atomic():
        known = {row.symbol: row for row in Instrument.objects.all()}
        missing = [
            spec for spec in universe.complete() if spec.symbol not in known and (is_demo or not spec.is_demo)
        ]
        # Another process may do the same at this moment: the unique symbol decides, nobody fails.
        Instrument.objects.bulk_create((_row(spec) for spec in missing), ignore_conflicts=True)
        changed += len(missing)
        for spec in universe.complete():
            row = known.get(spec.symbol)
            if row is not None and _refresh(row, spec):
                changed += 1
    return changed


def _values(spec: InstrumentSpec) -> dict[str, Any]:
    return {name: getattr(spec, name) for name in _COLUMNS}


def _row(spec: InstrumentSpec) -> Instrument:
    return Instrument(**_values(spec))


def _refresh(row: Instrument, spec: InstrumentSpec) -> bool:
    wanted = {name: value for name, value in _values(spec).items() if name not in _KEPT}
    different = [name for name, value in wanted.items() if getattr(row, name) != value]
    for name in different:
        setattr(row, name, wanted[name])
    if different:
        row.save(update_fields=different)
    return bool(different)


def find(symbol: str) -> Instrument | None:
    return Instrument.objects.filter(symbol=symbol).first()


def ensure(symbol: str, asset_type: str, *, tick_size: Decimal) -> Instrument:
    """The instrument of that symbol; one nobody declared is made like the first declared one of its asset type.

    Raises NotFound when the asset type has declared none.
    """
    spec = universe.find(symbol)
    if spec is None:
        like = next((spec for spec in universe.declared() if spec.asset_type == asset_type), None)
        if like is None:
            raise NotFound(f"No instrument of {asset_type} is declared.", code="unknown-asset-type")
        base, quote = filenames.currencies(symbol)
        spec = replace(like, symbol=symbol, name="", base=base, quote=quote, tick_size=tick_size, demo=False)
    Instrument.objects.bulk_create([_row(spec)], ignore_conflicts=True)
    return Instrument.objects.get(symbol=symbol)
