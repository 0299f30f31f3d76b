"""F01 to F06 and K: a worker dies at a named point of a run or of the order path, again and again; then all is well."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tradingsite.tests.faults import harness
from tradingsite.tests.faults.harness import System, report, wait_for

RUN_POINTS = ("before_claim", "after_claim", "mid_run", "before_finish")
ORDER_POINTS = ("before_intent", "after_intent", "before_post", "after_post")


@pytest.fixture(scope="module")
def market() -> Iterator[System]:
    with harness.system() as made:
        made.ask("update", "trading.Account", {}, {"max_orders_per_minute": 6000, "max_orders_per_day": 0})
        yield made


def deaths(system: System, mark: int) -> int:
    said = system.say(mark)
    return said.count("after death") + said.count("feed left with -9")


@pytest.mark.parametrize("point", [*RUN_POINTS, *ORDER_POINTS, "mid_fill"])
def test_dying_at_a_crash_point_breaks_no_invariant(market: System, point: str) -> None:
    mark = len(market.say())
    reset(market)
    # The third passage: what came before makes the state rich.
    market.launch(CRASH_AT=f"{point}:3" if point not in ("mid_fill", "before_claim") else point)
    wait_for(lambda: "workers-maintenance started" in market.say(mark), 60, "it starts")
    market.ask("switch", "start")
    if point == "mid_fill":
        let_some_rest(market)
    # Paper orders meet the next minute's bar, which is known when that minute is over.
    wait_for(lambda: deaths(market, mark) >= 2, 240 if point == "mid_fill" else 90, f"two deaths at {point}")
    market.power_cut()
    reset(market)
    took = market.start()
    recovered = market.recovers(60)
    wait_for(lambda: in_doubt(market) == 0, 60, "no order is in doubt")
    report(
        f"crash at {point}",
        deaths=deaths(market, mark),
        start_s=round(took, 1),
        recovered_after_s=round(recovered, 1),
    )
    if point == "mid_fill":
        # What died twice half booked is booked now, once.
        wait_for(lambda: market.ask("count", "trading.Fill"), 60, "there are fills")
        market.behave()
    market.is_sound()
    market.stop()


def let_some_rest(market: System) -> None:
    """Some of the toy's orders rest at the venue, and it takes none of them back. Other workflows' markets may be closed."""

    def resting() -> int:
        slug = {"intent__run__workflow__slug": "toy_trader"}
        return int(market.ask("count", "trading.Order", status="accepted", **slug))

    while True:
        market.behave()
        wait_for(resting, 60, "orders rest")
        market.behave(toy_trader="rest")
        # A run under way may still take back what the last one ordered.
        wait_for(
            lambda: not market.ask("runs", status="running", workflow__slug="toy_trader"), 30, "it rests"
        )
        if resting():
            return


def reset(market: System) -> None:
    """What the deaths did to the standing of the workflows."""
    market.ask("update", "orchestrator.Workflow", {}, {
        "quarantined_until": None, "consecutive_failures": 0, "consecutive_abandoned": 0, "quarantine_count": 0,
        "status": "active",
    })  # fmt: skip


def in_doubt(market: System) -> int:
    """Orders older than this start whose answer is unknown."""
    doubt = market.ask("rows", "trading.Order", ["created_at"], status__in=["sending", "unknown"])
    market.ask("switch", "stop")
    return len(doubt)
