"""Runs as the API shows them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from orchestrator.models import Run, RunStep
from tradingsite.foundation.api.shapes import OneOf
from tradingsite.foundation.errors import NotFound

STATUSES: Final = tuple(Run.Status.values)
RunStatus = Annotated[str, OneOf(*STATUSES)]
StepStatus = Annotated[str, OneOf(*RunStep.Status.values)]


@dataclass(frozen=True, kw_only=True, slots=True)
class RunItem:
    """One run. `lag_s` is from when it was due to its start, `duration_s` from start to end."""

    id: int
    workflow_id: int
    workflow: Annotated[str, "slug"]
    asset_type: str
    slot_at: Annotated[datetime, "when it was due"]
    status: RunStatus
    cause: str
    lane: str
    priority: Annotated[int, "1 high to 3 low"]
    decision_id: int | None
    attempts: int
    planned_at: datetime
    queued_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    deadline_at: datetime | None
    expires_at: datetime
    lag_s: float | None
    duration_s: float | None
    worker: str
    changed: Annotated[bool | None, "whether a target, stop, forecast or position moved"]
    skip_reason: str
    error_code: str
    cpu_s: float | None
    api_weight: int
    requested_by: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RunStepItem:
    """One named step of a run."""

    position: int
    name: str
    status: StepStatus
    started_at: datetime
    finished_at: datetime | None
    duration_s: float | None
    changed: bool
    summary: dict[str, Any]
    error: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RunEventItem:
    """One transition of a run."""

    event: str
    from_status: str
    to_status: str
    at: datetime
    epoch: int


@dataclass(frozen=True, kw_only=True, slots=True)
class RunDetail(RunItem):
    """One run with its steps, transitions and result."""

    epoch: int
    code_version: str
    error_detail: str
    result: dict[str, Any]
    steps: list[RunStepItem]
    events: list[RunEventItem]


def rows(
    *,
    workflow: str = "",
    asset_type: str = "",
    status: Iterable[str] = (),
    cause: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
) -> QuerySet[Run]:
    """Runs due in [since, until); `workflow` is a slug."""
    found = Run.objects.select_related("workflow").defer("result", "error_detail", "workflow__params")
    if workflow:
        found = found.filter(workflow__slug=workflow)
    if asset_type:
        found = found.filter(workflow__asset_type=asset_type)
    if status:
        found = found.filter(status__in=list(status))
    if cause:
        found = found.filter(cause=cause)
    if since is not None:
        found = found.filter(slot_at__gte=since)
    return found.filter(slot_at__lt=until) if until is not None else found


def item(row: Run) -> RunItem:
    """The row of a run read with its workflow."""
    return RunItem(**_fields(row))


def one(pk: int) -> RunDetail:
    """Three queries. Raises NotFound."""
    row = Run.objects.select_related("workflow").filter(pk=pk).first()
    if row is None:
        raise NotFound(_("There is no run %(id)s.") % {"id": pk})
    events = row.events.order_by("at", "pk").values("event", "from_status", "to_status", "at", "epoch")
    return RunDetail(
        **_fields(row), epoch=row.epoch, code_version=row.code_version, error_detail=row.error_detail,
        result=row.result,
        steps=[_step(step) for step in row.steps.order_by("position")],
        events=[RunEventItem(**event) for event in events],
    )  # fmt: skip


def _fields(row: Run) -> dict[str, Any]:
    same = (
        "workflow_id", "slot_at", "status", "cause", "lane", "priority", "decision_id", "attempts", "planned_at",
        "queued_at", "started_at", "finished_at", "deadline_at", "expires_at", "worker", "changed", "skip_reason",
        "error_code", "cpu_s", "api_weight", "requested_by",
    )  # fmt: skip
    return {name: getattr(row, name) for name in same} | {
        "id": row.pk,
        "workflow": row.workflow.slug,
        "asset_type": row.workflow.asset_type,
        "lag_s": _seconds(row.slot_at, row.started_at),
        "duration_s": _seconds(row.started_at, row.finished_at),
    }


def _step(step: RunStep) -> RunStepItem:
    return RunStepItem(
        position=step.position, name=step.name, status=step.status, started_at=step.started_at,
        finished_at=step.finished_at, duration_s=_seconds(step.started_at, step.finished_at), changed=step.changed,
        summary=step.summary, error=step.error,
    )  # fmt: skip


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    return (end - start).total_seconds() if start is not None and end is not None else None
