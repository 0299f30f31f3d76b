"""Nothing that was kept of one test's candles may reach the next test."""

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _forget_what_was_read() -> Iterator[None]:
    from assets.markets import calendars
    from assets.research import testkit

    testkit.forget()
    calendars.forget()
    yield
    testkit.forget()
    calendars.forget()
