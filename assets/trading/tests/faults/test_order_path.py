"""Processes killed on the order path, against a venue that keeps its own truth. One order per intent, always."""

from __future__ import annotations

import random
import signal
import time
from typing import Any

import pytest

from tradingsite.foundation import clock

pytestmark = pytest.mark.timeout(600)
QUARANTINE_OVER = 20


def statuses(arena: Any, after: float = 0) -> list[str]:
    state = arena.run("state", after=after)
    assert state["broken"] == {}, state
    return [status for status, _code in state["orders"]]


@pytest.fixture
def world(arena: Any) -> Any:
    arena.ids = arena.run("build")
    return arena


def test_f01_killed_before_the_intent_nothing_is_sent_and_the_run_decides_anew(world: Any) -> None:
    world.kill_at("before_intent", "trade", run=world.ids["run"])
    assert statuses(world) == [] and world.truth() == []
    assert world.run("trade", after=5, run=world.ids["run"])["sent"] == 1
    assert len(world.truth()) == 1


def test_f02_killed_after_the_intent_a_young_order_is_sent_once(world: Any) -> None:
    world.kill_at("after_intent", "trade", run=world.ids["run"])
    assert statuses(world) == ["new"] and world.truth() == []
    assert world.run("trade", after=5, run=world.ids["run"])["intents"] == 0
    assert world.run("recover", after=30)["sent"] == 1
    assert world.run("recover", after=31)["sent"] == 0
    assert len(world.truth()) == 1


def test_f02_an_old_one_expires(world: Any) -> None:
    world.kill_at("after_intent", "trade", run=world.ids["run"])
    assert world.run("recover", after=150)["expired"] == 1
    assert statuses(world) == ["expired"] and world.truth() == []


def test_f02_one_whose_price_ran_away_expires(world: Any) -> None:
    world.kill_at("after_intent", "trade", run=world.ids["run"])
    world.run("move_price", factor=1.02)
    assert world.run("recover", after=30)["expired"] == 1
    assert world.truth() == []


def test_f03_killed_before_the_call_it_waits_out_the_quarantine_and_expires(world: Any) -> None:
    world.kill_at("before_post", "trade", run=world.ids["run"])
    assert statuses(world) == ["sending"] and world.truth() == []
    assert world.run("recover", after=3)["open"] == 1
    assert world.run("recover", after=QUARANTINE_OVER)["open"] == 1  # not found once proves nothing
    assert world.run("recover", after=QUARANTINE_OVER + 5)["expired"] == 1
    assert world.run("trade", after=60, new_run=True)["sent"] == 1
    assert len(world.truth()) == 1


def test_f03_no_second_entry_while_the_first_is_in_doubt(world: Any) -> None:
    world.kill_at("before_post", "trade", run=world.ids["run"])
    report = world.run("trade", after=5, new_run=True, weight=0.9)
    assert report["denied"] == {"order_in_doubt": 1} and world.truth() == []


def test_f04_killed_while_waiting_for_the_answer_it_is_adopted(world: Any) -> None:
    process = world.start("trade", run=world.ids["run"], venue="hold")
    deadline = clock.monotonic() + 60
    while not world.truth() and clock.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=20)
    assert world.run("recover", after=QUARANTINE_OVER)["adopted"] == 1
    assert statuses(world) == ["filled"] and len(world.truth()) == 1


def test_f05_killed_after_the_answer_it_is_adopted_with_its_trades(world: Any) -> None:
    world.kill_at("after_post", "trade", run=world.ids["run"])
    assert len(world.truth()) == 1
    assert world.run("recover", after=3)["open"] == 1
    assert world.run("recover", after=QUARANTINE_OVER)["adopted"] == 1
    state = world.run("state")
    assert state["broken"] == {} and state["fills"] == 1 and state["position"] == ["50"]
    assert world.run("recover", after=QUARANTINE_OVER + 5)["adopted"] == 0
    assert len(world.truth()) == 1


def test_f06_killed_between_fill_and_position_leaves_both_or_none(arena: Any) -> None:
    ids = arena.run("build", broker="paper")
    arena.run("trade", run=ids["run"])
    arena.run("match", after=60)
    arena.run("trade", after=70, new_run=True, weight=0.7)
    arena.kill_at("mid_fill", "match", after=200)
    before = arena.run("state", after=200)
    assert before["broken"] == {} and before["fills"] == 1 and before["position"] == ["50"]
    assert arena.run("match", after=200)["fills"] == 1
    after = arena.run("state", after=200)
    assert after["broken"] == {} and after["fills"] == 2
    assert arena.run("match", after=260)["fills"] == 0


def test_f07_a_line_cut_after_acceptance_is_unknown_then_adopted(world: Any) -> None:
    world.run("trade", run=world.ids["run"], venue="cut")
    assert statuses(world) == ["unknown"]
    assert world.run("recover", after=QUARANTINE_OVER)["adopted"] == 1
    assert statuses(world) == ["filled"] and len(world.truth()) == 1


def test_f08_a_line_cut_before_arrival_is_unknown_then_expires(world: Any) -> None:
    world.run("trade", run=world.ids["run"], venue="drop")
    assert statuses(world) == ["unknown"]
    world.run("recover", after=QUARANTINE_OVER)
    assert world.run("recover", after=QUARANTINE_OVER + 5)["expired"] == 1
    assert world.truth() == []


def test_a_definitive_rejection_ends_the_order(world: Any) -> None:
    report = world.run("trade", run=world.ids["run"], venue="reject")
    assert report["expired"] == {"insufficient_balance": 1} and statuses(world) == ["rejected"]


def test_f18_two_processes_that_execute_the_same_run_make_one_order(world: Any) -> None:
    for n in range(3):
        run = world.ids["run"] if n == 0 else world.run("build_run", after=n * 60)["run"]
        pair = [world.start("trade", after=n * 60, run=run, weight=0.2 * (n + 1)) for _ in range(2)]
        reports = [world.finish(process) for process in pair]
        assert sum(report["intents"] for report in reports) == 1
        world.run("settle", after=n * 60 + 1)
    clients = [row["client_id"] for row in world.truth()]
    assert len(clients) == len(set(clients)) == 3


def test_f56_four_processes_booking_on_one_position_lose_nothing(arena: Any) -> None:
    arena.run("build", broker="paper")
    order = arena.run("big_order", quantity="100")["order"]
    children = [arena.start("book", order=order, prefix=f"p{n}", count=25) for n in range(4)]
    for child in children:
        arena.finish(child)
    state = arena.run("state")
    assert state["broken"] == {}
    assert (state["fills"], state["position"], state["cost"]) == (100, ["100"], ["10001"])
    assert [status for status, _code in state["orders"]] == ["filled"]


def test_f56_the_same_fills_from_four_processes_are_booked_once(arena: Any) -> None:
    arena.run("build", broker="paper")
    order = arena.run("big_order", quantity="20")["order"]
    children = [arena.start("book", order=order, prefix="same", count=20) for _ in range(4)]
    for child in children:
        arena.finish(child)
    state = arena.run("state")
    assert state["broken"] == {} and state["fills"] == 20 and state["position"] == ["20"]


def test_random_kills_never_make_two_orders_of_one_intent(world: Any) -> None:
    """A run is killed at a random instant, repeated, recovered; again and again."""
    rng = random.Random(20240514)
    points = ["before_intent", "after_intent", "before_post", "after_post", ""]
    seconds = 0.0
    for n in range(8):
        point, mode = rng.choice(points), rng.choice(["ok", "ok", "cut", "drop"])
        weight = 0.1 + 0.1 * n
        process = world.start("trade", after=seconds, new_run=True, crash=point, venue=mode, weight=weight)
        if not point:
            time.sleep(rng.uniform(0.5, 2.5))
            process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        world.run("aftermath", after=seconds)
        seconds += 60
    clients = [row["client_id"] for row in world.truth()]
    assert len(clients) == len(set(clients))
    assert set(statuses(world, after=seconds)) <= {"filled", "expired"}
