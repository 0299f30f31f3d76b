"""A real account for tests above the broker: Binance on loopback, money, fresh prices, the switch on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from assets.trading.brokers import venue_keys
from assets.trading.tests import kit
from assets.trading.tests.brokers.test_binance import ALICE, BinanceDesk
from assets.trading.tests.live_kit import make_ready
from assets.trading.tests.venues.binance import KEY, SECRET, BinanceVenue
from tradingsite.foundation import clock


@pytest.fixture
def live_venue() -> Iterator[BinanceVenue]:
    with BinanceVenue(clock.RealClock().now) as found:
        yield found


@pytest.fixture
def live(live_venue: BinanceVenue, db: Any, settings: Any) -> BinanceDesk:
    """Its venue holds what its ledger opened with; nothing is reconciled yet."""
    settings.BINANCE_URL, settings.LIVE_TRADING_ENABLED = live_venue.url, True
    made = BinanceDesk(live_venue)
    live_venue.book.balances = {"USDT": made.account.opening_balance}
    venue_keys.store(made.account, KEY, SECRET, actor=ALICE, now=made.now)
    minute = clock.now().replace(second=0, microsecond=0)
    kit.bars(made.instrument, minute - timedelta(minutes=5), [100.0] * 5)
    kit.switch()
    return made


@pytest.fixture
def ready(live: BinanceDesk) -> BinanceDesk:
    """Everything a person has to see to before real money is done; only the switch is off."""
    return make_ready(live)
