"""The state machines of this app, and the two ways a status is written: one row, or many at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from orchestrator.models import Run, RunEvent
from tradingsite.foundation import statements, transitions
from tradingsite.foundation.statements import Sql
from tradingsite.foundation.transitions import Machine

_R = Run.Status

RUN = Machine(
    "run",
    {
        (_R.PLANNED, "enqueue"): _R.QUEUED,
        (_R.PLANNED, "skip"): _R.SKIPPED,
        (_R.PLANNED, "cancel"): _R.CANCELLED,
        (_R.QUEUED, "claim"): _R.RUNNING,
        (_R.QUEUED, "skip"): _R.SKIPPED,
        (_R.QUEUED, "cancel"): _R.CANCELLED,
        # A run that was claimed too often, or whose workflow can no longer be run, never starts.
        (_R.QUEUED, "refuse"): _R.FAILED,
        (_R.RUNNING, "succeed"): _R.SUCCEEDED,
        (_R.RUNNING, "fail"): _R.FAILED,
        (_R.RUNNING, "time_out"): _R.TIMED_OUT,
        # Its worker is gone, or the switch was turned while it ran.
        (_R.RUNNING, "abandon"): _R.ABANDONED,
    },
    terminal=frozenset({_R.SUCCEEDED, _R.FAILED, _R.TIMED_OUT, _R.ABANDONED, _R.SKIPPED, _R.CANCELLED}),
)

WORKFLOW = Machine(
    "workflow",
    {
        ("draft", "activate"): "active",
        ("draft", "archive"): "archived",
        ("active", "pause"): "paused",
        ("paused", "resume"): "active",
        ("paused", "archive"): "archived",
        ("draft", "halt"): "halted",
        ("active", "halt"): "halted",
        ("paused", "halt"): "halted",
        # Only a person: the services ask for an actor who is not the system.
        ("halted", "resume"): "active",
        ("halted", "archive"): "archived",
    },
    terminal=frozenset({"archived"}),
)


def apply_run(
    run: Run,
    event: str,
    *,
    now: datetime,
    updates: Mapping[str, Any] | None = None,
    detail: Mapping[str, Any] | None = None,
    also: Sql | None = None,
    epoch: int | None = None,
) -> Run:
    """Move one run, still in the epoch it was read in, and write its event row with the epoch it happened in (the run's
    epoch after the move). Returns the run as read with the changes made here.

    Raises IllegalTransition, or ConcurrentChange when status or epoch are no longer as read or `also` does not hold.
    """
    with transitions.together():
        after = transitions.apply(
            run, event, machine=RUN, now=now, updates=updates, match={"epoch": run.epoch}, also=also,
            reread=False,
        )  # fmt: skip
        statements.insert(
            RunEvent(
                row_id=after.pk, event=event, from_status=run.status, to_status=after.status, at=now,
                epoch=after.epoch if epoch is None else epoch, detail=dict(detail or {}),
            )
        )  # fmt: skip
    return after


def apply_runs(
    run_ids: Sequence[int],
    *,
    state: str,
    event: str,
    now: datetime,
    updates: Mapping[str, Any] | None = None,
    detail: Mapping[str, Any] | None = None,
) -> list[int]:
    """Move those of `run_ids` that are still in `state`, all in one statement per 500, and return their ids."""
    after = RUN.next(state, event)
    moved: list[int] = []
    for start in range(0, len(run_ids), 500):
        with transitions.together():
            moved += _apply_chunk(
                run_ids[start : start + 500], state, event, after, now, updates or {}, detail or {}
            )
    return moved


def _apply_chunk(
    run_ids: Sequence[int], state: str, event: str, after: str, now: datetime,
    updates: Mapping[str, Any], detail: Mapping[str, Any],
) -> list[int]:  # fmt: skip
    written = {**updates, "status": after}
    if len(run_ids) == 1 and statements.is_plain(written):  # what the loop does most of the time
        match = {"pk": run_ids[0], "status": state}
        found = dict(statements.update_returning(Run, written, match, "id, epoch"))
    else:
        # Locked in order of the key until commit: two that move the same runs must not wait for each other.
        rows = Run.objects.filter(pk__in=run_ids, status=state)
        found = dict(rows.select_for_update().order_by("pk").values_list("pk", "epoch"))
        if found:
            Run.objects.filter(pk__in=list(found), status=state).update(**written)
    if found:
        events = [
            RunEvent(
                row_id=pk,
                event=event,
                from_status=state,
                to_status=after,
                at=now,
                epoch=epoch,
                detail=dict(detail),
            )
            for pk, epoch in found.items()
        ]
        statements.insert_many(RunEvent, events)
    return list(found)
