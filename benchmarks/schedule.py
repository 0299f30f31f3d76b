"""The instants every scheduler is given in bench_latency.py: bursts within one second, then one by one.

Imported by the peers' programs too, so it uses the standard library only.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

BURST, SPREAD = "burst", "spread"
MARKS = "BENCH_MARKS"  # variable: the file that `mark` appends to


@dataclass(frozen=True)
class Due:
    """One job: `at` in seconds after the start."""

    key: str
    phase: str
    workflow: int
    at: float


def make(workflows: int, bursts: int, gap_s: float, spread_s: float, seed: int = 7) -> list[Due]:
    """Every workflow once per burst (random instants within one second), then once spread evenly over `spread_s`."""
    rng = random.Random(seed)
    found = [
        Due(f"{BURST}-{burst}-{w}", BURST, w, burst * gap_s + rng.random())
        for burst in range(bursts)
        for w in range(workflows)
    ]
    begin, order = bursts * gap_s, list(range(workflows))
    rng.shuffle(order)
    step = spread_s / workflows
    found += [Due(f"{SPREAD}-{w}", SPREAD, w, begin + (i + rng.random()) * step) for i, w in enumerate(order)]
    return sorted(found, key=lambda due: due.at)


def save(path: Path, plan: Sequence[Due], start: float) -> None:
    """For another program: the instants as epoch seconds."""
    rows = [[due.key, due.workflow, start + due.at] for due in plan]
    path.write_text(json.dumps(rows), encoding="utf-8")


def load(path: str) -> list[tuple[str, int, float]]:
    """(key, workflow, epoch seconds) of every job."""
    return [
        (str(key), int(w), float(at)) for key, w, at in json.loads(Path(path).read_text(encoding="utf-8"))
    ]


def mark(key: str) -> None:
    """The job: append its key and the present instant in one write, which concurrent processes cannot tear."""
    line = f"{key} {time.time_ns()}\n".encode()  # noqa: TID251 - runs in peers' programs, which have no clock seam
    descriptor = os.open(os.environ[MARKS], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)


def marks(path: Path) -> dict[str, float]:
    """First start (epoch seconds) of each job that ran."""
    started: dict[str, float] = {}
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            key, nanoseconds = line.split()
            started.setdefault(key, int(nanoseconds) / 1e9)
    return started
