"""The hour that comes twice, and five thousand bars at once: the chart in a browser."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

Open = Callable[..., Any]

_BARS = """
from datetime import UTC, datetime, timedelta
from assets.markets.services import candles
from assets.markets.testkit.bars import make_instrument, walk
from tradingsite.foundation.models import UserProfile
UserProfile.objects.filter(user__username="{user}").update(time_zone="Europe/Paris")
row = make_instrument("{symbol}", asset_type="crypto_lt", is_demo=True, timeframe="{timeframe}")
start = datetime(2026, 10, 25, 12, tzinfo=UTC) - {count} * timedelta(minutes={minutes})
candles.store(row, "{timeframe}", walk({count}, start=start, timeframe="{timeframe}"), source="test", now=datetime(2026, 10, 25, 12, tzinfo=UTC))
print(row.pk)
"""


def _instrument(site: Any, **values: Any) -> str:
    return str(site.python(_BARS.format(**values)))


def test_20_the_hour_that_comes_twice_is_two_bars_with_their_offsets(site: Any, open_page: Open) -> None:
    pk = _instrument(site, user="charlie", symbol="TWICEUSDT", timeframe="15m", count=200, minutes=15)
    watched = open_page(site, locale="en-GB")
    watched.login("charlie")
    with watched.page.expect_response(lambda answer: "/data/" in answer.url) as info:
        watched.go(f"/instruments/{pk}/?tf=15m")
    data = info.value.json()
    watched.page.wait_for_selector("[data-candles][data-ready]")
    answer = watched.page.request.get(f"{site.url}/api/candles/?instrument=TWICEUSDT&tf=15m&limit=250").json()
    assert answer["ts"] == data["ts"] and len(data["ts"]) == 200
    watched.page.focus("[data-candles]")
    seen: list[str] = []
    wanted = {int(datetime(2026, 10, 25, hour, tzinfo=UTC).timestamp()) for hour in (0, 1)}
    watched.page.keyboard.press("End")
    for _step in range(50):
        if int(watched.page.get_attribute("#chart-legend", "data-ts")) in wanted:
            seen.append(watched.page.inner_text("#chart-legend span:first-child"))
        watched.page.keyboard.press("ArrowLeft")
    assert len(seen) == 2 and all("02:00" in text for text in seen)
    assert {text.split()[-1] for text in seen} in ({"CEST", "CET"}, {"GMT+2", "GMT+1"})


def test_18_five_thousand_bars_are_all_drawn(site: Any, open_page: Open) -> None:
    pk = _instrument(site, user="charlie", symbol="MANYUSDT", timeframe="1m", count=5000, minutes=1)
    watched = open_page(site)
    watched.login("charlie")
    watched.page.route("**/data/?tf=1m", lambda route: route.continue_(url=f"{route.request.url}&limit=5000"))
    watched.go(f"/instruments/{pk}/?tf=1m")
    watched.page.wait_for_selector("[data-candles][data-ready]")
    watched.page.focus("[data-candles]")
    watched.page.keyboard.press("Home")
    shown = json.loads(watched.page.get_attribute("#chart-legend", "data-ohlc"))
    first = int(watched.page.get_attribute("#chart-legend", "data-ts"))
    data = watched.page.request.get(f"{site.url}/ui/instruments/{pk}/data/?tf=1m&limit=5000").json()
    assert len(data["ts"]) == 5000 and first in data["ts"]
    at = data["ts"].index(first)
    assert shown == [data[name][at] for name in ("open", "high", "low", "close", "volume")]
    assert not watched.errors and not watched.violations()


def test_a_price_with_eight_decimals_is_not_written_as_nothing(site: Any, open_page: Open) -> None:
    pk = _instrument(site, user="charlie", symbol="TINYUSDT", timeframe="1h", count=60, minutes=60)
    site.python(
        "from decimal import Decimal\nfrom assets.markets.models import Candle, Instrument\n"
        f"Instrument.objects.filter(pk={pk}).update(tick_size=Decimal('1E-8'))\n"
        f"Candle.objects.filter(instrument={pk}).update(open=0.00001234, high=0.00001299, low=0.0000119, close=0.00001277)"
    )
    watched = open_page(site)
    watched.login("charlie")
    watched.go(f"/instruments/{pk}/?tf=1h")
    watched.page.wait_for_selector("[data-candles][data-ready]")
    watched.page.focus("[data-candles]")
    watched.page.keyboard.press("End")
    assert "0.00001277" in watched.page.inner_text("#chart-legend")
    # Whatever way the tick is written, the script reads it.
    assert watched.page.evaluate("window.chartDecimals('1E-8')") == 8
    assert watched.page.evaluate("['0.010', '5', '0.0005', 'x', ''].map(window.chartDecimals)") == [
        2,
        0,
        4,
        8,
        8,
    ]
