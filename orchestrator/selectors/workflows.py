"""Workflows as the API shows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from django.db.models import Count, Q, QuerySet
from django.utils.translation import gettext as _

from orchestrator import plugins
from orchestrator.models import Run, Workflow
from tradingsite.foundation.api.shapes import OneOf
from tradingsite.foundation.errors import NotFound

WEEK: Final = timedelta(days=7)
STATUSES: Final = tuple(Workflow.Status.values)
BAD: Final = (Run.Status.FAILED, Run.Status.TIMED_OUT, Run.Status.ABANDONED)
WorkflowStatus = Annotated[str, OneOf(*STATUSES)]
Seconds = Annotated[float | None, "seconds"]


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkflowItem:
    """One workflow: its configuration (changed with PATCH) and how it stands. Intervals in seconds."""

    id: int
    slug: str
    type: str
    title: str
    asset_type: Annotated[str, "empty for maintenance"]
    lane: str
    name: str
    status: WorkflowStatus
    status_reason: str
    entries_paused: bool
    min_interval_s: int
    base_interval_s: int
    max_interval_s: int
    params: dict[str, Any]
    version: Annotated[int, "of the configuration"]
    interval_s: Annotated[float | None, "interval in force, seconds"]
    next_run_at: datetime | None
    last_run_at: datetime | None
    last_finished_at: datetime | None
    last_result: str
    manual_requested_at: datetime | None
    consecutive_failures: int
    quarantined_until: datetime | None
    mean_duration_s: Seconds
    run_value: Annotated[float, "learned value of a run, 1 is the prior"]
    run_value_samples: int
    runs_7d: Annotated[int, "runs of the last seven days that ended well or badly"]
    success_ratio_7d: Annotated[float | None, "null when nothing ran"]
    created_at: datetime
    updated_at: datetime


def rows(
    *, asset_type: str = "", status: Iterable[str] = (), type: str = "", workflow: str = ""
) -> QuerySet[Workflow]:
    """Workflows; archived ones only when asked for by status."""
    found = Workflow.objects.all()
    found = (
        found.filter(status__in=list(status)) if status else found.exclude(status=Workflow.Status.ARCHIVED)
    )
    if asset_type:
        found = found.filter(asset_type=asset_type)
    if type:
        found = found.filter(type_key=type)
    return found.filter(slug=workflow) if workflow else found


def one(pk: int, now: datetime) -> WorkflowItem:
    """Two queries. Raises NotFound."""
    row = Workflow.objects.filter(pk=pk).first()
    if row is None:
        raise NotFound(_("There is no workflow %(id)s.") % {"id": pk})
    return items([row], now)[0]


def by_slug(slug: str) -> int:
    """The id behind a slug. Raises NotFound."""
    pk = Workflow.objects.filter(slug=slug).values_list("pk", flat=True).first()
    if pk is None:
        raise NotFound(_("There is no workflow %(slug)s.") % {"slug": slug})
    return pk


def items(found: Iterable[Workflow], now: datetime) -> list[WorkflowItem]:
    """One query for the figures of all of them."""
    listed = list(found)
    counts = outcome_counts([row.pk for row in listed], now - WEEK)
    return [_item(row, *counts.get(row.pk, (0, 0))) for row in listed]


def outcome_counts(pks: Iterable[int], since: datetime) -> Mapping[int, tuple[int, int]]:
    """Per workflow: how many runs ended well and badly since then. One query."""
    finished = Run.objects.filter(finished_at__gte=since, workflow_id__in=list(pks)).order_by()
    counted = finished.values_list("workflow_id").annotate(
        good=Count("pk", filter=Q(status=Run.Status.SUCCEEDED)), bad=Count("pk", filter=Q(status__in=BAD))
    )
    return {pk: (good, bad) for pk, good, bad in counted}


def _item(row: Workflow, good: int, bad: int) -> WorkflowItem:
    title, lane = row.type_key, ""
    try:
        kind = plugins.get(row.type_key)
        title, lane = str(kind.title), kind.lane.value
    except plugins.UnknownWorkflowType:
        title = _("%(key)s (not installed)") % {"key": row.type_key}
    return WorkflowItem(
        id=row.pk, slug=row.slug, type=row.type_key, title=title, asset_type=row.asset_type, lane=lane, name=row.name,
        status=row.status, status_reason=row.status_reason, entries_paused=row.entries_paused,
        min_interval_s=row.min_interval_s, base_interval_s=row.base_interval_s, max_interval_s=row.max_interval_s,
        params=row.params, version=row.version, interval_s=row.interval_s, next_run_at=row.next_run_at,
        last_run_at=row.last_run_at, last_finished_at=row.last_finished_at, last_result=row.last_result,
        manual_requested_at=row.manual_requested_at, consecutive_failures=row.consecutive_failures,
        quarantined_until=row.quarantined_until, mean_duration_s=row.mean_duration_s, run_value=row.run_value,
        run_value_samples=row.run_value_samples, runs_7d=good + bad,
        success_ratio_7d=good / (good + bad) if good + bad else None,
        created_at=row.created_at, updated_at=row.updated_at,
    )  # fmt: skip
