"""The product's own settings with a toy app in place of the asset types: bench_latency.py measures scheduling only."""

from tradingsite.settings.dev import *  # noqa: F403
from tradingsite.settings.dev import INSTALLED_APPS as _APPS

_ASSET_TYPES = ("assets.meme_coins", "assets.crypto_lt", "assets.forex", "assets.etf", "assets.research")
INSTALLED_APPS = [app for app in _APPS if app not in _ASSET_TYPES] + ["benchmarks.toys"]
