"""Fixtures of the market tests."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from assets.markets import calendars, hub, universe
from tradingsite.foundation import clock

START = datetime(2024, 3, 4, 0, 0, tzinfo=UTC)  # a Monday
NOW = datetime(2024, 3, 6, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _clean_caches() -> Iterator[None]:
    """Calendars read the database once and keep it; each test has its own database content."""
    calendars.forget()
    yield
    calendars.forget()
    hub.use_universe(None)


@pytest.fixture
def at_noon() -> Iterator[clock.FixedClock]:
    with clock.use(clock.FixedClock(NOW)) as fixed:
        yield fixed


@pytest.fixture
def toy_universe() -> Iterator[None]:
    """An asset type nobody else knows."""
    universe.register(
        "toy",
        [
            universe.InstrumentSpec(
                symbol="TOYUSDT", base="TOY", quote="USDT", venue="binance", calendar="24x7", demo_price=50.0
            )
        ],
    )
    yield
    universe.unregister("toy")
