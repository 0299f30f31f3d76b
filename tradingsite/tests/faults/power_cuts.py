"""F92: SIGKILL to everything at seeded random instants, again and again, while toys and simulated trading run.

    python -m tradingsite.tests.faults.power_cuts --cuts 200 --seed 1

After each cut nothing may live on, and after each cold start all invariants must hold. Prints one line per cut.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from tradingsite.tests.faults import harness
from tradingsite.tests.faults.harness import System, report, wait_for


@dataclass
class Tally:
    """What happened in all cuts."""

    cuts: int = 0
    violations: list[str] = field(default_factory=list)
    ready_s: list[float] = field(default_factory=list)
    cut_while_starting: int = 0


def run(cuts: int, seed: int, say: Any = print) -> Tally:
    """Cut `cuts` times. Every fourth cut hits the start itself."""
    rng, tally, began = random.Random(seed), Tally(), time.monotonic()
    with harness.system() as made:
        made.ask("update", "trading.Account", {}, {"max_orders_per_minute": 6000, "max_orders_per_day": 0})
        made.start()
        made.ask("switch", "start")
        made.recovers(90)
        made.behave(toy_b="work", toy_m="work", toy_trader="bursts")
        for number in range(1, cuts + 1):
            if rng.random() < 0.25:
                made.power_cut()
                made.launch()
                time.sleep(rng.uniform(0, 6))
                tally.cut_while_starting += 1
            else:
                time.sleep(rng.uniform(0, 4))
            made.power_cut()
            tally.cuts = number
            tally.ready_s.append(made.start())
            check(made, tally, number)
            forgive(made)
            if number % 10 == 0 or number == cuts:
                figures(made, tally, number, time.monotonic() - began, say)
        wait_for(
            lambda: made.ask("count", "trading.Order", status__in=["sending", "unknown"]) == 0 or _stop(made),
            90,
        )
        made.recovers(90)
        check(made, tally, cuts + 1)
    return tally


def check(made: System, tally: Tally, number: int) -> None:
    twice, broken = made.executed_twice(), made.ask("invariants")
    if twice or broken:
        tally.violations.append(f"cut {number}: executed twice {twice}, broken {broken}")
        sys.stderr.write(tally.violations[-1] + "\n")


def forgive(made: System) -> None:
    """Workers that die often put a workflow into quarantine, rightly; here it should go on."""
    made.ask("update", "orchestrator.Workflow", {}, {
        "quarantined_until": None, "consecutive_failures": 0, "consecutive_abandoned": 0, "quarantine_count": 0,
        "status": "active",
    })  # fmt: skip


def _stop(made: System) -> bool:
    made.ask("switch", "stop")
    return False


def figures(made: System, tally: Tally, number: int, seconds: float, say: Any) -> None:
    runs = made.ask("count", "orchestrator.Run")
    orders, fills = made.ask("count", "trading.Order"), made.ask("count", "trading.Fill")
    ready = sorted(tally.ready_s)
    say(
        f"{number} cuts in {seconds:.0f} s ({tally.cut_while_starting} while starting), {len(tally.violations)} violations; "
        f"{runs} runs, {orders} orders, {fills} fills; ready p50 {ready[len(ready) // 2]:.1f} s, max {ready[-1]:.1f} s",
        flush=True,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cuts", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    tally = run(options.cuts, options.seed)
    report("power cuts", cuts=tally.cuts, seed=options.seed, violations=len(tally.violations),
           while_starting=tally.cut_while_starting, ready_max_s=round(max(tally.ready_s), 1))  # fmt: skip
    return 3 if tally.violations else 0


if __name__ == "__main__":
    sys.exit(main())
