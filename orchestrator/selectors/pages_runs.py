"""Reads shaped for the pages about runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from orchestrator import naming
from orchestrator.models import Run
from orchestrator.selectors.pages import FAILED, PAGE_SIZE, RUN_PULSE, Page, page_of
from orchestrator.selectors.words import cause_word, reason_word
from tradingsite.foundation import said
from tradingsite.foundation.errors import NotFound
from tradingsite.foundation.web import pulse, version_of


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRow:
    """One run. `duration_s` is None until it has finished."""

    pk: int
    workflow_pk: int
    workflow_name: str
    asset_type: str
    slot_at: datetime
    status: str
    because: str
    lane: str
    started_at: datetime | None
    finished_at: datetime | None
    duration_s: float | None
    wait_s: float | None
    changed: bool | None
    reason: str
    attempts: int
    decision_pk: int | None
    requested_by: str

    @property
    def is_bad(self) -> bool:
        return self.status in FAILED


def runs_version() -> str:
    """Changes whenever any run is planned, starts or ends. One query."""
    return version_of(*pulse(*RUN_PULSE))


def runs(*, number: int = 1, workflow_pk: int | None = None, status: str = "", size: int = PAGE_SIZE) -> Page:
    """Newest runs first. One query."""
    rows = Run.objects.select_related("workflow").defer("result", "error_detail", "workflow__params")
    if workflow_pk is not None:
        rows = rows.filter(workflow_id=workflow_pk)
    if status == "failed":
        rows = rows.filter(status__in=FAILED)
    elif status == "open":
        rows = rows.filter(status__in=Run.OPEN)
    elif status:
        rows = rows.filter(status=status)
    start = (number - 1) * size
    return page_of([_run_row(row) for row in rows[start : start + size + 1]], number, size)


def _run_row(row: Run) -> RunRow:
    end = row.finished_at
    return RunRow(
        pk=row.pk,
        workflow_pk=row.workflow_id,
        workflow_name=naming.shown(row.workflow.type_key, row.workflow.name),
        asset_type=row.workflow.asset_type,
        slot_at=row.slot_at,
        status=row.status,
        because=cause_word(row.cause),
        lane=row.lane,
        started_at=row.started_at,
        finished_at=end,
        duration_s=(end - row.started_at).total_seconds() if end and row.started_at else None,
        wait_s=(row.started_at - row.slot_at).total_seconds() if row.started_at else None,
        changed=row.changed,
        reason=reason_word(row.error_code or row.skip_reason),
        attempts=row.attempts,
        decision_pk=row.decision_id,
        requested_by=row.requested_by,
    )


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a run with what it reported."""

    position: int
    name: str
    status: str
    started_at: datetime
    duration_s: float | None
    changed: bool
    summary: tuple[said.Fact, ...]
    error: str


@dataclass(frozen=True, slots=True)
class RunDetail:
    """Everything about one run."""

    row: RunRow
    steps: tuple[Step, ...]
    events: tuple[Mapping[str, Any], ...]
    worker: str
    deadline_at: datetime | None
    expires_at: datetime
    cpu_s: float | None
    api_weight: int
    error_code: str
    error_detail: str
    epoch: int


def run_detail(pk: int) -> RunDetail:
    """One run with steps and events. Raises NotFound."""
    row = Run.objects.select_related("workflow").filter(pk=pk).first()
    if row is None:
        raise NotFound(_("There is no run %(id)s.") % {"id": pk})
    steps = tuple(
        Step(
            position=step.position,
            name=step.name,
            status=step.status,
            started_at=step.started_at,
            duration_s=(step.finished_at - step.started_at).total_seconds() if step.finished_at else None,
            changed=step.changed,
            summary=said.facts(step.summary),
            error=step.error,
        )
        for step in row.steps.order_by("position")
    )
    events = tuple(row.events.order_by("at", "pk").values("event", "from_status", "to_status", "at"))
    return RunDetail(
        _run_row(row), steps, events, row.worker, row.deadline_at, row.expires_at, row.cpu_s,
        row.api_weight, row.error_code, row.error_detail, row.epoch,
    )  # fmt: skip


def run_durations(pk: int, limit: int = 50) -> tuple[RunRow, ...]:
    """The newest runs of one workflow, oldest first, for the run strip."""
    rows = Run.objects.select_related("workflow").defer("result", "error_detail").filter(workflow_id=pk)
    return tuple(reversed([_run_row(row) for row in rows[:limit]]))
