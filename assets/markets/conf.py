"""Settings of this app, read once where they are needed. Every one has a default that is safe without a network."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.conf import settings


@dataclass(frozen=True, kw_only=True, slots=True)
class MarketSettings:
    """Where prices come from."""

    feed: str  # simulated, replay, binance, alpaca, none
    seed: int  # of simulated prices
    binance_url: str  # replaces the scheme and host of every address of the venue; empty = the real ones
    binance_timeout_s: float
    binance_weight: int  # request weight a minute we allow ourselves
    alpaca_url: str  # replaces every address of Alpaca, orders and data; empty = the real ones
    alpaca_key: str = field(repr=False)  # for market data; accounts have their own, sealed
    alpaca_secret: str = field(repr=False)


def read() -> MarketSettings:
    """The settings as they are now (tests override them)."""
    return MarketSettings(
        feed=getattr(settings, "TRADING_FEED", "simulated"),
        seed=int(getattr(settings, "TRADING_FEED_SEED", 7)),
        binance_url=getattr(settings, "BINANCE_URL", ""),
        binance_timeout_s=float(getattr(settings, "BINANCE_TIMEOUT_S", 8.0)),
        binance_weight=int(getattr(settings, "BINANCE_WEIGHT", 3000)),
        alpaca_url=getattr(settings, "ALPACA_URL", ""),
        alpaca_key=getattr(settings, "ALPACA_KEY", ""),
        alpaca_secret=getattr(settings, "ALPACA_SECRET", ""),
    )
