"""Decisions per second on one core, with inputs that differ from call to call (nothing to memoise).

Run: python benchmarks/bench_engine.py [--seconds 0.2] [--rounds 25] [--check]
Prints the best and median round and the ratio to the target; --check ends with status 1 below the target.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from orchestrator.engine.decide import decide
from orchestrator.engine.types import Bounds, Conditions, Exposure, Factor, History, HostLoad, Subject

TARGET = 50_000  # decisions/s on one core
Case = tuple[Subject, Conditions, Exposure, HostLoad, History, datetime]


def cases(count: int, seed: int = 7) -> list[Case]:
    """A mix of open, closed, hot, calm, loaded, exposed, failing and learning workflows."""
    rng = random.Random(seed)
    return [_case(index, rng) for index in range(count)]


def _case(index: int, rng: random.Random) -> Case:
    now = datetime(2026, 3, 2, 14, 5, tzinfo=UTC)
    base = rng.choice((300.0, 900.0, 14_400.0))
    volatility = rng.uniform(0.05, 1.5)
    subject = Subject(
        key=f"w{index}",
        bounds=Bounds(min_s=base / 5, base_s=base, max_s=base * 4),
        is_trading=rng.random() < 0.7,
    )
    conditions = Conditions(
        is_open=rng.random() < 0.9,
        volatility=rng.choice((None, volatility, volatility)),
        trend=rng.uniform(-1, 1),
        session_activity=rng.uniform(0.2, 3),
        data_age_s=rng.uniform(0, 130),
        data_age_limit_s=180.0,
        move_sigmas=rng.uniform(0, 2.5),
        quota_used=rng.uniform(0, 0.8),
    )
    exposure = Exposure(
        open_positions=rng.choice((0, 0, 2)),
        exposure_ratio=rng.uniform(0, 1.5),
        stop_distance_sigmas=rng.choice((None, rng.uniform(0, 6))),
    )
    load = HostLoad(cpu=rng.uniform(0, 1), ram=rng.uniform(0.2, 0.9), queue_depth=rng.randrange(8), workers=2)
    history = History(
        last_run_at=now - timedelta(seconds=rng.uniform(0, base * 2)),
        interval_s=rng.choice((None, base, base * rng.uniform(0.3, 2))),
        consecutive_failures=rng.choice((0, 0, 0, 1)),
        run_value=rng.uniform(0.3, 3),
        run_value_samples=rng.randrange(200),
    )
    return subject, conditions, exposure, load, history, now


def rate(made: list[Case], seconds: float) -> float:
    """Decisions per second over at least `seconds` of this process's own CPU time."""
    done, started = 0, time.process_time()
    while (used := time.process_time() - started) < seconds:
        for case in made:
            decide(*case)
        done += len(made)
    return done / used


def factor_cost_us(count: int = 200_000) -> float:
    started = time.process_time()
    for _ in range(count):
        Factor("volatility", 0.86, 0.8, -1.6)
    return (time.process_time() - started) / count * 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.2)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    made = cases(2_000)
    rates = [rate(made, options.seconds) for _ in range(options.rounds)]
    best, middle = max(rates), statistics.median(rates)
    sys.stdout.write(
        f"engine: {best:,.0f} decisions/s best, {middle:,.0f} median of {len(rates)} (one core, CPU time), "
        f"{1e6 / best:.1f} us each; target {TARGET:,}: ratio {best / TARGET:.2f}\n"
        f"of which ten factors: {10 * factor_cost_us():.1f} us\n"
    )
    return 1 if options.check and best < TARGET else 0


if __name__ == "__main__":
    sys.exit(main())
