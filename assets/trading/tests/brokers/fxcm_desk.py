"""One account at FXCM on loopback, its self-test passed; short deadlines on request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from assets.markets.feeds.fix import line
from assets.markets.feeds.fix.session import Login, Timing
from assets.markets.feeds.fix.transport import Endpoint
from assets.trading.brokers import venue_keys
from assets.trading.brokers.fxcm import FxcmBroker
from assets.trading.models import Order, VenueKey
from assets.trading.tests import kit
from assets.trading.tests.venues.fxcm import PASSWORD, SENDER, SUB, TARGET, USER, FxcmVenue
from tradingsite.foundation import audit, clock

ALICE = audit.Actor("user", "1", "Alice")
BUSINESS = [(35, "j"), (45, "{34}"), (372, "{35}"), (58, "no")]
SESSION = [(35, "3"), (45, "{34}"), (372, "{35}"), (58, "no")]
"""Refusals of the two levels as answers of a Fault; their number is to be added."""
TIMING = Timing(linger_s=30.0, other_process_s=0.2)


class FxcmDesk:
    """`broker` uses the session of this process; `other(...)` is the same account with other settings."""

    def __init__(self, venue: FxcmVenue) -> None:
        self.venue, self.now = venue, clock.now()
        self.instrument = kit.instrument("EURUSD", base="EUR", quote="USD", venue="fxcm", is_demo=False)
        self.account = kit.account(
            currency="USD", broker="fxcm", mode="live", is_demo=False, allows_short=True
        )
        venue_keys.store(self.account, USER, PASSWORD, actor=ALICE, now=self.now)
        self.pass_the_test()
        self.broker = self.other()

    def pass_the_test(self, *, can_trade: bool = True) -> None:
        VenueKey.objects.filter(account=self.account).update(
            permissions={"can_trade": can_trade}, checked_at=self.now
        )

    def endpoint(self, **values: Any) -> Endpoint:
        found = Endpoint(
            host="127.0.0.1", port=self.venue.port, sender=SENDER, target=TARGET, target_sub=SUB, tls=False
        )
        return replace(found, **values)

    def other(self, *, password: str = PASSWORD, number: str = "", **timing: float) -> FxcmBroker:
        """A broker of its own; first end the session of the one before."""
        line.close_all()
        return FxcmBroker(
            self.account, login=Login(user=USER, password=password), endpoint=self.endpoint(), number=number,
            timing=replace(TIMING, **timing),
        )  # fmt: skip

    def fill(self, order: Order, quantity: Decimal, price: Decimal = Decimal(50)) -> None:
        self.venue.book.fill(self.venue.book.by_client(order.client_id, "EUR/USD"), quantity, price)

    def held(self) -> dict[str, Decimal]:
        """What the venue truly has for us."""
        return {asset: amount for asset, amount in self.venue.book.balances.items() if amount}

    def truth(self, what: str, client_id: str) -> int:
        return self.venue.book.count(what, client_id)


@pytest.fixture
def venue(settings: Any, tmp_path: Path) -> Iterator[FxcmVenue]:
    settings.VAR_DIR = tmp_path
    with FxcmVenue(clock.RealClock().now) as found:
        yield found
        line.close_all()


@pytest.fixture
def desk(venue: FxcmVenue, db: Any) -> FxcmDesk:
    return FxcmDesk(venue)
