"""One account at Alpaca's loopback venue, for the tests of its broker."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from assets.trading.brokers import venue_keys
from assets.trading.brokers.alpaca import AlpacaBroker
from assets.trading.models import Order
from assets.trading.tests import kit
from assets.trading.tests.venues.alpaca import KEY, SECRET, AlpacaVenue
from tradingsite.foundation import audit, clock

ALICE = audit.Actor("user", "1", "Alice")


class AlpacaDesk:
    """One account at the loopback venue."""

    def __init__(self, venue: AlpacaVenue) -> None:
        self.venue, self.now = venue, clock.now()
        self.instrument = kit.instrument("SPY", base="SPY", quote="USD", venue="alpaca", is_demo=False)
        self.account = kit.account(currency="USD", broker="alpaca", mode="live", is_demo=False)
        self.broker = AlpacaBroker(self.account, key=KEY, secret=SECRET, url=venue.url)

    def fill(self, order: Order, quantity: Decimal) -> None:
        self.venue.book.fill(self.venue.by_client(order.client_id), quantity, Decimal(50))

    def truth(self, what: str, client_id: str) -> int:
        return self.venue.book.count(what, client_id)


def with_stored_key(desk: AlpacaDesk, settings: Any) -> AlpacaDesk:
    """An account whose venue holds what its ledger opened with, reached through its stored key."""
    settings.ALPACA_URL, settings.LIVE_TRADING_ENABLED = desk.venue.url, True
    desk.venue.book.balances = {"USD": desk.account.opening_balance}
    venue_keys.store(desk.account, KEY, SECRET, actor=ALICE, now=desk.now)
    return desk


def error(code: int, text: str = "no") -> bytes:
    return json.dumps({"code": code, "message": text}).encode()


def fetched(desk: AlpacaDesk, order: Order) -> Any:
    found = desk.broker.fetch_order(order.client_id)
    assert found is not None
    return found
