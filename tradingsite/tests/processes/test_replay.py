"""`manage.py replay` as a whole: it repeats itself, and real workers do what it does inline."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from assets.markets.models import Candle, Instrument
from assets.markets.services import candles
from assets.markets.testkit.bars import make_instrument, walk
from orchestrator.services import workflows
from tradingsite.foundation.errors import Unavailable
from tradingsite.management.replay import driver, scratch, workers

pytestmark = pytest.mark.django_db

START = datetime(2021, 4, 12, tzinfo=UTC)
Replay = Callable[..., dict[str, Any]]


@pytest.fixture
def replay(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Replay:
    """Runs the command over two made-up coins, one bought on schedule, one scored every minute or so."""
    for symbol, asset_type, price, seed in (
        ("BTCUSDT", "crypto_lt", 60_000.0, 1),
        ("DOGEUSDT", "meme_coins", 0.07, 2),
    ):
        row = Instrument.objects.filter(symbol=symbol).first() or make_instrument(
            symbol, asset_type=asset_type, tick_size="0.00001", lot_step="0.00001", min_quantity="0.00001"
        )
        made = walk(12 * 60, start=START - timedelta(hours=10), price=price, seed=seed)
        candles.store(row, row.timeframe, made, source="test", now=START + timedelta(days=1))
    monkeypatch.setenv("TRADING_VAR_DIR", str(tmp_path))
    # The workers' own: settings of the tests would give them the tests' database.
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "tradingsite.settings.dev")

    def run(minutes: int, *options: str) -> dict[str, Any]:
        out = StringIO()
        end = START + timedelta(minutes=minutes)
        try:
            call_command(
                "replay", "--from", START.isoformat(), "--to", end.isoformat(), "--json", *options, stdout=out
            )
        except SystemExit as e:
            assert not e.code, out.getvalue()
        found: dict[str, Any] = json.loads(out.getvalue())
        return found

    return run


def told(document: dict[str, Any]) -> dict[str, Any]:
    """What must not depend on the machine."""
    return {key: value for key, value in document.items() if key not in ("wall_s", "speedup", "executor")}


def test_two_replays_of_the_same_candles_tell_the_same_to_the_last_digit(replay: Replay) -> None:
    stored = Candle.objects.count()
    first = replay(60)
    assert first["fills"] >= 1 and first["runs"]["meme_coins"]["succeeded"] >= 5
    assert first["ledger_imbalance"] == "0" and set(first["invariants"].values()) == {"ok"}
    assert told(first) == told(replay(60))
    assert Candle.objects.count() == stored


def test_other_candles_are_told_from_these(replay: Replay) -> None:
    first = replay(20)
    Candle.objects.filter(open_ts=int(START.timestamp()) - 60).update(close=61_000.0, high=61_000.0)
    assert replay(20)["fingerprint"] != first["fingerprint"]


def test_a_fortnight_of_minutes_does_not_make_ten_years_of_days_a_replay_by_minutes() -> None:
    year, days = 365 * 86_400, (0, 10 * 365 * 86_400)
    assert scratch.finest_covering({("1d", 0): days, ("1m", 0): (10 * year - 14 * 86_400, 10 * year)}) == "1d"
    assert scratch.finest_covering({("1d", 0): days, ("1m", 0): (4 * year, 10 * year)}) == "1m"
    assert scratch.finest_covering({("1h", 1): days, ("1h", 2): days}) == "1h"


@pytest.mark.parametrize(("bar_s", "base_s"), [(60, 3600), (3600, 3600), (7200, 7200), (86_400, 21_600)])
def test_housekeeping_waits_for_the_next_bar_within_its_bounds(bar_s: int, base_s: int) -> None:
    driver.prepare(["crypto_lt"], START, bar_s=bar_s)
    learning, coin = workflows.by_slug("ai_learning_update"), workflows.by_slug("crypto_lt")
    assert (learning.base_interval_s, coin.base_interval_s) == (base_s, 14_400)
    assert learning.min_interval_s <= base_s <= learning.max_interval_s


def test_nothing_fetches_or_deletes_candles_in_a_replay() -> None:
    driver.prepare(["crypto_lt"], START, bar_s=60)
    standing = {slug: workflows.by_slug(slug).status for slug in ("data_backfill", "data_purge", "crypto_lt")}
    assert standing == {"data_backfill": "paused", "data_purge": "paused", "crypto_lt": "active"}


def test_real_workers_decide_and_trade_what_an_inline_replay_does(replay: Replay) -> None:
    assert told(replay(4, "--executor", "queue")) == told(replay(4))


def test_workers_that_cannot_start_end_the_replay_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(os.environ, "DJANGO_SETTINGS_MODULE", "no.such.settings")
    monkeypatch.setattr(workers, "open_run_ids", lambda: [1])
    monkeypatch.setattr(workers.runs, "ring", lambda run_ids: None)
    with workers.real_workers(tmp_path / "db.sqlite3") as execute, pytest.raises(Unavailable, match="ended"):
        execute([1])
