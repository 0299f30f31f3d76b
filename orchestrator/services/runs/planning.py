"""Planned runs and the bell that tells a worker about them."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TypeAlias

from django.db import transaction
from django.db.models import F
from django_q.tasks import async_task

from orchestrator import plugins, states
from orchestrator.conf import code_version
from orchestrator.models import Run
from tradingsite.foundation import statements

log = logging.getLogger(__name__)

TASK = "orchestrator.tasks.execute_run"


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """A run the loop wants. Two with the same workflow and slot are one run."""

    workflow_id: int
    slot_at: datetime
    cause: str
    decision_id: int | None
    lane: str
    priority: int
    expires_at: datetime
    requested_by: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bell:
    """What the queue carries: an id. `timeout_s` is for the queue's own watchdog."""

    run_id: int
    lane: str
    timeout_s: int


Ring: TypeAlias = Callable[[Sequence[int]], None]


def ring(run_ids: Sequence[int]) -> None:
    """Put the ids on the queues of their lanes, most urgent first, with one commit for all."""
    with transaction.atomic():
        for bell in bells_for(run_ids):
            async_task(
                TASK, bell.run_id, cluster=bell.lane, timeout=bell.timeout_s, task_name=f"run-{bell.run_id}"
            )


def plan(wanted: Sequence[Wanted], now: datetime) -> list[int]:
    """Insert those runs whose slot is not taken and whose workflow has no open run; ids of what is planned now.

    Call it inside the transaction that holds the leader's fence.
    """
    if not wanted:
        return []
    version = code_version()
    made = [
        Run(
            workflow_id=item.workflow_id, slot_at=item.slot_at, cause=item.cause, decision_id=item.decision_id,
            lane=item.lane, priority=item.priority, expires_at=item.expires_at, requested_by=item.requested_by,
            planned_at=now, code_version=version,
        )
        for item in wanted
    ]  # fmt: skip
    new = statements.insert_many(Run, made, skip_taken=True)
    if len(new) == len(wanted) == 1:
        return new
    ids: list[int] = []
    for start in range(0, len(wanted), 500):
        part = wanted[start : start + 500]
        planned = Run.objects.filter(
            workflow_id__in=[item.workflow_id for item in part],
            slot_at__in={item.slot_at for item in part},
            status=Run.Status.PLANNED,
        )
        ids += planned.order_by("priority", "pk").values_list("pk", flat=True)
    return ids


def enqueue(run_ids: Sequence[int], now: datetime, *, ring: Ring = ring) -> list[int]:
    """Planned -> queued, and ring after commit. The sweeper repairs a crash in between. Returns the ids."""
    if not run_ids:
        return []
    queued = states.apply_runs(
        run_ids, state=Run.Status.PLANNED, event="enqueue", now=now,
        updates={"queued_at": now, "enqueued_at": now, "enqueued_count": 1},
    )  # fmt: skip
    _ring_after_commit(queued, ring)
    return queued


def ring_again(run_ids: Sequence[int], now: datetime, *, ring: Ring = ring) -> None:
    """Ring for runs that are still queued: a second bell for a run already claimed does nothing."""
    Run.objects.filter(pk__in=run_ids, status=Run.Status.QUEUED).update(
        enqueued_at=now, enqueued_count=F("enqueued_count") + 1
    )
    _ring_after_commit(run_ids, ring)


def requeue_waiting(lane: str, now: datetime) -> int:
    """Ring again for all that waits on a lane: the bells may have been lost. Returns how many."""
    waiting = Run.objects.filter(status=Run.Status.QUEUED, lane=lane).order_by("priority", "pk")
    ids = list(waiting.values_list("pk", flat=True)[:500])
    with transaction.atomic():
        ring_again(ids, now)
    return len(ids)


def _ring_after_commit(run_ids: Sequence[int], ring: Ring) -> None:
    if run_ids:
        transaction.on_commit(partial(_ring_safely, ring, list(run_ids)))


def _ring_safely(ring: Ring, run_ids: Sequence[int]) -> None:
    """A queue that is down must not fail whoever committed: the sweeper rings again."""
    try:
        ring(run_ids)
    except Exception:  # the queue is a bell only; the runs are safe in their table
        log.exception("could not ring for runs %s", run_ids)


def bells_for(run_ids: Sequence[int]) -> list[Bell]:
    """Bells in order of priority, then age."""
    bells = []
    for start in range(0, len(run_ids), 500):
        rows = Run.objects.filter(pk__in=run_ids[start : start + 500]).order_by("priority", "pk")
        bells += [
            Bell(run_id=pk, lane=lane, timeout_s=timeout_s(type_key))
            for pk, lane, type_key in rows.values_list("pk", "lane", "workflow__type_key")
        ]
    return bells


def timeout_s(type_key: str) -> int:
    """Whole seconds for the queue's soft timeout: SIGALRM knows no fractions."""
    try:
        return max(1, math.ceil(plugins.get(type_key).deadline.total_seconds()))
    except plugins.UnknownWorkflowType:
        return 60


def slot_of(run_id: int) -> datetime | None:
    """The instant a run was due; None when there is no such run."""
    return Run.objects.filter(pk=run_id).values_list("slot_at", flat=True).first()
