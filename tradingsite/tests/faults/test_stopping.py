"""F73 F74 F75 G8 G16 I12: stop in any phase, by switch or by file; leave in any phase. Orders are sent all the time."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tradingsite.tests.faults import harness
from tradingsite.tests.faults.conftest import make_whole
from tradingsite.tests.faults.databases import held_database
from tradingsite.tests.faults.harness import SLACK, System, report, wait_for

SEED = int(os.environ.get("FAULT_SEED", "1"))
TRIALS = int(os.environ.get("STOP_TRIALS", "8"))


@pytest.fixture(scope="module")
def market() -> Iterator[System]:
    """A system whose toy trader sends orders at every run."""
    with harness.system() as made:
        made.ask("update", "trading.Account", {}, {"max_orders_per_minute": 6000, "max_orders_per_day": 0})
        made.start()
        yield made


@pytest.fixture
def trading(market: System) -> System:
    (market.folder / "var" / "HALT").unlink(missing_ok=True)
    make_whole(market)
    orders_flow(market)
    return market


def sends(system: System, **where: object) -> int:
    return int(system.ask("count", "trading.OrderEvent", event="send", **where))


def orders_flow(system: System, timeout: float = 90) -> None:
    before = sends(system)
    wait_for(lambda: sends(system) >= before + 3, timeout, "orders are sent")


def test_after_a_stop_no_order_starts_whatever_the_run_was_doing(trading: System) -> None:
    rng = random.Random(SEED)
    latest = []
    for _ in range(TRIALS):
        time.sleep(rng.uniform(0, 2))  # the instant is what is drawn at random here
        stopped_at = trading.ask("switch", "stop")["changed_at"]
        time.sleep(2.5)  # longer than the second in which an order may still start
        assert trading.ask("invariants", "I12") == {}
        rows = trading.ask("rows", "trading.OrderEvent", ["at"], event="send", at__gt=stopped_at)
        latest.append(len(rows))
        count = sends(trading)
        time.sleep(1)
        assert sends(trading) == count
        trading.ask("switch", "start")
        orders_flow(trading)
    report("stop by switch", trials=TRIALS, seed=SEED, sent_within_grace=sum(latest))
    trading.ask("switch", "stop")
    trading.is_sound()


def test_a_stop_needs_no_queue(trading: System) -> None:
    pids = [trading.pid("trading-pusher"), trading.pid("trading-monitor")]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        trading.ask("switch", "stop")
        time.sleep(2)
        count = sends(trading)
        time.sleep(2)
        assert sends(trading) == count
        assert trading.ask("invariants", "I12") == {}
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def test_the_halt_file_stops_while_the_database_is_locked(trading: System) -> None:
    with held_database(trading.folder, trading.database):
        Path(trading.folder / "var" / "HALT").touch()
        written = time.clock_gettime(time.CLOCK_REALTIME)
        time.sleep(4)
    time.sleep(3)
    rows = trading.ask("rows", "trading.OrderEvent", ["at", "row_id"], event="send")
    # As text with the zone: compared by the database itself.
    late = [row for row in rows if _epoch(row["at"]) > written + 1]
    assert late == []
    count = sends(trading)
    time.sleep(2)
    assert sends(trading) == count
    (trading.folder / "var" / "HALT").unlink()
    orders_flow(trading)
    trading.is_sound()


def _epoch(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_leaving_in_the_middle_of_orders_takes_less_than_thirty_seconds_and_leaves_nothing(
    trading: System, number: signal.Signals
) -> None:
    rng, took = random.Random(SEED), []
    for _ in range(3):
        time.sleep(rng.uniform(0, 2))
        mains = [trading.pid("trading"), trading.pid("maintenance")]
        took.append(trading.stop(number))
        assert took[-1] <= 30 * SLACK
        assert trading.leftovers() == []
        assert trading.ask("count", "orchestrator.Run", status="running") == 0
        assert trading.ask("count", "orchestrator.ProcessBeat", pid__in=mains) == 0
        trading.start()
        orders_flow(trading)
    report(f"leave by {number.name}", seconds=[round(s, 1) for s in took])
    trading.is_sound()


def test_a_run_that_never_returns_does_not_keep_the_system_from_leaving(trading: System) -> None:
    trading.behave(toy_a="spin", toy_m="swallow")
    wait_for(
        lambda: len(trading.ask("runs", status="running", workflow__slug__in=["toy_a", "toy_m"])) == 2,
        40,
        "both run",
    )
    took = trading.stop()
    report("leave while runs hang", seconds=round(took, 1))
    assert took <= 30 * SLACK
    assert trading.leftovers() == []
    trading.behave()
    trading.start()
    trading.recovers()
    trading.is_sound()
