"""Replay through real django-q2 workers: the queue, the claim and the worker process, still on virtual time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from django.conf import settings

from orchestrator.plugins import Lane
from orchestrator.selectors.replay import open_run_ids
from orchestrator.services import runs
from tradingsite.foundation import clock
from tradingsite.foundation.errors import Unavailable

POLL_S = 0.005
PATIENCE_S = 120.0


@contextmanager
def real_workers(database: Path) -> Iterator[Callable[[Sequence[int]], None]]:
    """Start one cluster per lane on the scratch database; yields an executor that waits for the runs it rings for.

    Workers take each run's own slot as their clock (TRADING_CLOCK=run), so virtual time needs no further message.
    """
    environment = os.environ | {
        "TRADING_DATABASE_PATH": str(database),
        "TRADING_CLOCK": "run",
        "TRADING_SECRET_KEY": settings.SECRET_KEY,
        "TRADING_REPLAY": "True",
        "TRADING_FEED": "replay",
    }
    environment.pop("TRADING_DATABASE_URL", None)
    command = [sys.executable, "manage.py", "workers", "--lane"]
    processes = [
        subprocess.Popen(
            [*command, lane.value], cwd=settings.BASE_DIR, env=environment, stdout=subprocess.DEVNULL
        )
        for lane in Lane
    ]
    try:
        yield partial(_ring_and_wait, processes)
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _ring_and_wait(processes: Sequence[subprocess.Popen[bytes]], run_ids: Sequence[int]) -> None:
    runs.ring(run_ids)
    deadline = clock.RealClock().monotonic() + PATIENCE_S
    while remaining := open_run_ids():
        if clock.RealClock().monotonic() > deadline:
            raise Unavailable(
                f"Workers did not finish runs {remaining} within {PATIENCE_S:.0f} s.", code="no-workers"
            )
        if any(process.poll() is not None for process in processes):
            raise Unavailable("A worker cluster has ended; its log says why.", code="no-workers")
        time.sleep(POLL_S)
