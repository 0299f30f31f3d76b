"""Where prices come from. `get(name)` makes a feed and imports its module only then: venue libraries are heavy."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from importlib import import_module
from typing import Final, cast

from assets.markets.feeds.base import Batch, Feed, FeedError, QuoteTick
from assets.markets.models import Instrument
from assets.markets.series import Bars
from tradingsite.foundation.errors import Invalid

__all__ = ["Batch", "Feed", "FeedError", "NAMES", "NoFeed", "QuoteTick", "get"]


class NoFeed:
    """No feed: prices come from imported files only."""

    name = "none"

    def poll(self, now: datetime) -> Iterable[Batch]:
        return ()

    def history(
        self, instrument: Instrument, timeframe: str, first_ts: int, last_ts: int, now: datetime
    ) -> Iterable[Bars]:
        return ()

    def forget(self, instrument: Instrument) -> None:
        """Nothing is remembered about single instruments."""


_PATHS: Final = {
    "simulated": "assets.markets.feeds.simulated.SimulatedFeed",
    "replay": "assets.markets.feeds.replay.ReplayFeed",
    "binance": "assets.markets.feeds.binance.BinanceFeed",
    "alpaca": "assets.markets.feeds.alpaca.AlpacaFeed",
    "fxcm": "assets.markets.feeds.fxcm.FxcmFeed",
    "none": "assets.markets.feeds.NoFeed",
}
NAMES: Final = tuple(_PATHS)


def get(name: str) -> Feed:
    """A new feed of that name. Raises Invalid for an unknown name."""
    path = _PATHS.get(name)
    if path is None:
        raise Invalid(f"A feed must be one of {', '.join(NAMES)}, was {name!r}.", code="unknown-feed")
    module, _, attribute = path.rpartition(".")
    return cast(Feed, getattr(import_module(module), attribute)())
