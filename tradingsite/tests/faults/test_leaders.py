"""F52 F69 F93 G14: two decision loops, two supervisors; one leads, the other takes over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest

from tradingsite.tests.faults import harness
from tradingsite.tests.faults.databases import SERVER
from tradingsite.tests.faults.harness import ROOT, System, report, wait_for


@pytest.fixture(scope="module")
def pair() -> Iterator[System]:
    """A system without a loop of its own: the tests bring two."""
    with harness.system(orchestrator={}) as made:
        made.launch("--without", "loop")
        wait_for(lambda: "workers-maintenance started" in made.say(), 60)
        yield made


def start_loop(system: System, skew_s: int = 0) -> subprocess.Popen[bytes]:
    clock = system.folder / f"clock{skew_s:+d}"
    clock.write_text(str(skew_s))
    with system.log.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, str(ROOT / "manage.py"), "loop"], cwd=ROOT, stdout=log, stderr=log,
            env={**system.environment, **({"FAULT_CLOCK": str(clock)} if skew_s else {})},
        )  # fmt: skip


@contextmanager
def loops(
    system: System, number: int = 2, skew_s: Sequence[int] = ()
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """That many loops beside the system; `skew_s` says how wrong the clock of each one's host is."""
    started = [start_loop(system, skew) for skew in (skew_s or (0,) * number)]
    try:
        yield started
    finally:
        for process in started:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()


def leader(system: System) -> int:
    """Process id of the loop that leads; 0 when none."""
    lease = system.ask("lease")
    return int(lease["holder"].rpartition(":")[2]) if lease and lease["holder"] else 0


@pytest.mark.parametrize(
    ("number", "limit_s"), [(signal.SIGKILL, 15), (signal.SIGSTOP, 45)], ids=["killed", "paused"]
)
def test_a_follower_takes_over(pair: System, number: int, limit_s: float) -> None:
    with loops(pair) as started:
        pids = {process.pid for process in started}
        wait_for(lambda: leader(pair) in pids, 60, "one leads")
        pair.ask("switch", "start")
        wait_for(
            lambda: {b["pid"] for b in pair.ask("beats") if b["role"] == "loop" and b["age_s"] < 9} >= pids,
            60,
            "both",
        )
        first = leader(pair)
        os.kill(first, number)
        took = wait_for(lambda: leader(pair) in pids - {first}, limit_s, "the other leads")
        report(f"leader {signal.Signals(number).name}", taken_over_after_s=round(took, 1))
        assert took <= limit_s
        before = pair.succeeded()
        wait_for(lambda: pair.succeeded() > before, 30, "runs go on")
        if number == signal.SIGSTOP:
            os.kill(first, signal.SIGCONT)
            wait_for(lambda: pair.say().count("was replaced as leader"), 20, "the old one stands back")
            assert leader(pair) != first
        pair.is_sound()


def stop_in_a_transaction(system: System, pid: int) -> None:
    """SIGSTOP a loop while it holds the row of its lease."""
    import psycopg

    holds = (
        "SELECT 1 FROM pg_locks l JOIN pg_class c ON c.oid = l.relation "
        "WHERE c.relname = 'orchestrator_lease' AND l.mode = 'RowExclusiveLock' AND l.granted"
    )
    assert system.database is not None
    with psycopg.connect(system.database.url, autocommit=True) as link:

        def caught() -> bool:
            if not link.execute(holds).fetchone():
                return False
            os.kill(pid, signal.SIGSTOP)
            time.sleep(0.1)  # what it had sent already is through
            if link.execute(holds).fetchone():
                return True
            os.kill(pid, signal.SIGCONT)
            return False

        wait_for(caught, 60, "it is caught in a transaction")


@pytest.mark.skipif(
    not SERVER, reason="about PostgreSQL's locks; with SQLite the supervisor ends a loop that hangs"
)
def test_a_leader_that_stands_still_in_the_middle_of_a_tick_is_replaced(pair: System) -> None:
    pair.ask("switch", "start")
    with loops(pair) as started:
        pids = {process.pid for process in started}
        wait_for(lambda: leader(pair) in pids, 60, "one leads")
        wait_for(lambda: {b["pid"] for b in pair.ask("beats") if b["role"] == "loop"} >= pids, 60, "both")
        first = leader(pair)
        stop_in_a_transaction(pair, first)
        took = wait_for(lambda: leader(pair) in pids - {first}, 45, "the other leads")
        report("leader stopped in a transaction", taken_over_after_s=round(took, 1))
        before = pair.succeeded()
        wait_for(lambda: pair.succeeded() > before, 30, "runs go on")
        os.kill(first, signal.SIGCONT)
        time.sleep(3)
        assert leader(pair) != first
        pair.is_sound()


def test_two_loops_at_once_plan_each_slot_once(pair: System) -> None:
    pair.ask("switch", "start")
    before = pair.succeeded()
    with loops(pair):
        wait_for(lambda: pair.succeeded() >= before + 20, 90, "twenty runs")
        pair.is_sound()


@pytest.fixture(scope="module")
def brief() -> Iterator[System]:
    """As `pair`, with leases shorter than the clocks differ (10 s and more between the two): by a host's own clock the
    follower would take a living one, as it seems over to whoever is ahead and beyond belief to whoever is far behind.
    """
    with harness.system(orchestrator={"lease_ttl_s": 6, "lease_renew_s": 1}) as made:
        made.launch("--without", "loop")
        wait_for(lambda: "workers-maintenance started" in made.say(), 60)
        yield made


@pytest.mark.skipif(not SERVER, reason="hosts that share a SQLite file are one host, with one clock")
@pytest.mark.parametrize(
    "skew_s", [(5, -5), (-5, 5), (0, 30), (0, -30)], ids=lambda s: f"{s[0]:+d}s{s[1]:+d}s"
)
def test_hosts_whose_clocks_differ_agree_on_the_lease_by_the_databases_clock(
    brief: System, skew_s: tuple[int, int]
) -> None:
    """F52: the follower does not take a living lease, and takes a dead one as soon as ever."""
    brief.ask("switch", "start")
    with loops(brief, skew_s=skew_s[:1]) as first:
        wait_for(lambda: leader(brief) == first[0].pid, 60, "the first leads")
        held = brief.ask("lease")
        with loops(brief, skew_s=skew_s[1:]) as second:
            beating = {first[0].pid, second[0].pid}
            wait_for(
                lambda: {b["pid"] for b in brief.ask("beats") if b["role"] == "loop"} >= beating, 60, "both"
            )
            until = time.monotonic() + 20
            while time.monotonic() < until:
                assert brief.ask("lease") == held
                time.sleep(0.2)
            before = brief.succeeded()
            wait_for(lambda: brief.succeeded() > before, 30, "runs go on")
            wait_for(
                lambda: brief.ask(
                    "count", "orchestrator.HealthEvent", component="clock", code="differs", closed_at=None
                ),
                30,
                "health noticed",
            )
            first[0].kill()
            killed_at = time.monotonic()
            wait_for(lambda: leader(brief) == second[0].pid, 15, "the second leads")
            took = time.monotonic() - killed_at
            wait_for(lambda: brief.succeeded() > before + 2, 30, "runs go on")
            report("clocks differ", skew_s=skew_s, held_for_s=20, taken_over_after_s=round(took, 1))
            brief.is_sound()


def test_a_second_system_on_the_same_data_refuses_to_start(pair: System) -> None:
    done = pair.manage("run", check=False)
    assert done.returncode == 6
    assert "already runs here" in done.stderr


def test_a_second_host_on_the_same_database_stands_by(pair: System, second: Callable[[], System]) -> None:
    """Two whole systems, one database: only one loop and one feed lead, nothing runs twice."""
    if pair.database is None:
        pytest.skip("a SQLite file is one host's database; run.lock keeps a second system away")
    pair.ask("switch", "start")
    other = second()
    other.launch()
    wait_for(lambda: other.page("/healthz") == 200, 90, "its pages are there")
    with loops(pair, 1):
        before = pair.succeeded()
        wait_for(lambda: pair.succeeded() >= before + 20, 90, "twenty runs")
        pair.is_sound()
    assert other.stop() < 30


@pytest.fixture
def second(pair: System) -> Iterator[Callable[[], System]]:
    made: list[System] = []

    def make() -> System:
        other = System()
        if other.database is not None and pair.database is not None:
            other.database.drop()
            other.database = None
            other.environment["TRADING_DATABASE_URL"] = pair.database.url
            other.environment["FAULT_TOY_DIR"] = str(pair.toys)
        made.append(other)
        return other

    yield make
    for other in made:
        other.close()
