"""Brokers by kind: a dotted path, imported on first use. Adding a venue is one module and one line."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from assets.trading.brokers.base import Broker
from assets.trading.models import Account
from tradingsite.foundation.errors import Invalid

_paths: dict[str, str] = {
    "paper": "assets.trading.brokers.paper.PaperBroker",
    "binance": "assets.trading.brokers.binance.connect",
    "alpaca": "assets.trading.brokers.alpaca.connect",
    "fxcm": "assets.trading.brokers.fxcm.connect",
}


def register(kind: str, path: str) -> None:
    """Add a kind of broker: dotted path of what makes one from the account, its only argument."""
    _paths[kind] = path


def get(account: Account) -> Broker:
    """The broker of an account. Raises Invalid for a kind nobody registered."""
    path = _paths.get(account.broker)
    if path is None:
        known = ", ".join(sorted(_paths))
        raise Invalid(f"{account.broker!r} is not a broker; known are: {known}.", code="unknown-broker")
    module, _dot, name = path.rpartition(".")
    return cast(Broker, getattr(import_module(module), name)(account))
