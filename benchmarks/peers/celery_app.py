"""Celery: beat with one entry per workflow, Redis as broker, one worker with two processes.

Entries use a schedule of their own because Celery's crontab knows minutes only; it answers beat as the built-in ones do.
"""

from __future__ import annotations

import os
import time
from datetime import datetime
from typing import Any

from celery import Celery
from celery.schedules import BaseSchedule, schedstate

from benchmarks import schedule

PLAN = os.environ["BENCH_PLAN"]


class Instants(BaseSchedule):
    """Due at given instants (epoch seconds), once each."""

    def __init__(self, instants: list[float], **more: Any) -> None:
        super().__init__(**more)
        self.instants = sorted(instants)

    def is_due(self, last_run_at: datetime) -> schedstate:
        now = time.time()  # noqa: TID251 - the peer's program
        last = last_run_at.timestamp()
        waiting = [at for at in self.instants if at > last]
        if not waiting:
            return schedstate(False, 3600.0)
        if waiting[0] > now:
            return schedstate(False, waiting[0] - now)
        return schedstate(True, max(0.0, waiting[1] - now) if len(waiting) > 1 else 3600.0)

    def __reduce__(self) -> Any:
        return Instants, (self.instants,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Instants) and other.instants == self.instants

    def __hash__(self) -> int:
        return hash(tuple(self.instants))


app = Celery("peer", broker=os.environ["BENCH_REDIS"])
app.conf.update(
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
    timezone="UTC",
    broker_connection_retry_on_startup=True,
)


@app.task(name="mark")
def mark(workflow: int) -> None:
    schedule.mark(f"{workflow}@{time.time_ns()}")  # noqa: TID251 - the peer's program


def _entries() -> dict[str, dict[str, Any]]:
    instants: dict[int, list[float]] = {}
    for _key, workflow, at in schedule.load(PLAN):
        instants.setdefault(workflow, []).append(at)
    return {
        f"workflow-{workflow}": {"task": "mark", "schedule": Instants(times), "args": (workflow,)}
        for workflow, times in instants.items()
    }


if os.environ.get("BENCH_BEAT"):
    app.conf.beat_schedule = _entries()
