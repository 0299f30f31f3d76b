"""What the queue calls. Each takes an id or a token and calls one function."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from django.conf import settings

from orchestrator import runner
from orchestrator.health import canary as health_canary
from orchestrator.heart import ThreadHeart
from orchestrator.process import draining
from orchestrator.services import runs
from tradingsite.foundation import clock


def execute_run(run_id: int) -> str:
    """Execute a run in this worker process. Delivered twice, it is executed once."""
    if draining.is_draining():
        return runner.NOT_CLAIMED  # fetched before SIGTERM; it stays queued and is rung again
    with _clock_for(run_id):
        return runner.execute(run_id, worker=runner.worker_name(), heart=ThreadHeart())


def _clock_for(run_id: int) -> AbstractContextManager[object]:
    """The real clock, or (settings.CLOCK = "run", replay through real workers) the instant the run was due."""
    slot_at = runs.slot_of(run_id) if getattr(settings, "CLOCK", "real") == "run" else None
    return nullcontext() if slot_at is None else clock.use(clock.FixedClock(slot_at))


def canary(token: str) -> None:
    """Prove that the whole way through the queue works. `token` starts with its lane ("trading:...")."""
    health_canary.record(token.partition(":")[0], token)
