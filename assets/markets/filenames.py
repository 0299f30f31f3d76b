"""What the name of a candle file says: SYMBOL_TIMEFRAME[_segment].csv[.gz] or .parquet."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from assets.markets import timeframes
from assets.markets.models import PriceSide

SUFFIXES: Final = (".csv", ".csv.gz", ".parquet")
_NAME: Final = re.compile(
    rf"^(?P<symbol>[A-Za-z0-9.\-]+)_(?P<timeframe>{'|'.join(timeframes.NAMES)})(?:[_-](?P<segment>\w+))?$"
)
_PAIR: Final = re.compile(r"^(?P<base>[A-Z]{3})(?P<quote>[A-Z]{3})$")
_STABLE: Final = ("USDT", "USDC", "FDUSD", "BUSD", "TUSD", "DAI")


@dataclass(frozen=True, kw_only=True, slots=True)
class FileName:
    """Parts of a name; empty where it does not say. A segment that ends in bid or ask names the side."""

    symbol: str = ""
    timeframe: str = ""
    side: PriceSide = PriceSide.TRADE
    folder: str = ""


def parse(path: Path) -> FileName:
    """Never fails: what cannot be read stays empty and has to be said otherwise."""
    stem = path.name
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if stem.lower().endswith(suffix):
            stem = stem[: -len(suffix)]
            break
    match = _NAME.match(stem)
    folder = path.resolve().parent.name
    if match is None:
        return FileName(folder=folder)
    segment = (match["segment"] or "").lower()
    side = PriceSide.TRADE
    if segment.endswith("bid"):
        side = PriceSide.BID
    elif segment.endswith("ask"):
        side = PriceSide.ASK
    return FileName(symbol=match["symbol"].upper(), timeframe=match["timeframe"], side=side, folder=folder)


def currencies(symbol: str) -> tuple[str, str]:
    """Base and quote of a symbol as far as it shows them: BTCUSDT, EURUSD; a share is quoted in dollars."""
    for quote in _STABLE:
        if symbol.endswith(quote) and len(symbol) > len(quote):
            return symbol.removesuffix(quote), quote
    pair = _PAIR.match(symbol)
    if pair is not None:
        return pair["base"], pair["quote"]
    return symbol[:16], "USD"
