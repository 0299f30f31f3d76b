"""Reads shaped for the pages about workflows and runs. Plain rows: a template cannot query."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Count, Q
from django.utils.translation import gettext as _

from orchestrator import naming, plugins
from orchestrator.models import ProcessBeat, Run, Workflow, WorkflowEvent, WorkflowRevision
from orchestrator.services import control, intervals
from tradingsite.foundation import said
from tradingsite.foundation.errors import NotFound
from tradingsite.foundation.numbers_text import quantity
from tradingsite.foundation.web import pulse, version_of

PAGE_SIZE: Final = 25
BEAT_LIMIT: Final = timedelta(seconds=30)
_FAILED_FIRST: Final = {"halted": 0, "active": 1, "paused": 2, "draft": 3, "archived": 4}
FAILED: Final = (Run.Status.FAILED, Run.Status.TIMED_OUT, Run.Status.ABANDONED)


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkflowRow:
    """One workflow as lists show it. Intervals in seconds, `success_ratio` over seven days (None: no run)."""

    pk: int
    slug: str
    name: str
    title: str
    type_key: str
    asset_type: str
    lane: str
    status: str
    status_reason: str
    entries_paused: bool
    min_s: int
    base_s: int
    max_s: int
    interval_s: float | None
    next_run_at: datetime | None
    last_run_at: datetime | None
    last_result: str
    mean_duration_s: float | None
    failures: int
    quarantined_until: datetime | None
    manual_requested_at: datetime | None
    run_value: float
    run_value_samples: int
    params: Mapping[str, Any]
    version: int
    run_count: int = 0
    success_ratio: float | None = None

    @property
    def is_failing(self) -> bool:
        return self.status == "halted" or self.failures > 0

    @property
    def is_open(self) -> bool:
        """Whether the engine decides about it."""
        return self.status == "active"


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list, newest first; numbers from 1, None where there is no such page."""

    rows: tuple[Any, ...]
    number: int
    previous: int | None
    next: int | None


def page_of(found: list[Any], number: int, size: int = PAGE_SIZE) -> Page:
    """`found` holds at most size + 1 rows from the page's offset; the extra one says that there is more."""
    more = len(found) > size
    return Page(tuple(found[:size]), number, number - 1 if number > 1 else None, number + 1 if more else None)


def workflows(
    now: datetime, *, asset_type: str = "", include_archived: bool = False, with_counts: bool = True
) -> tuple[WorkflowRow, ...]:
    """All workflows, those that need somebody first. Two queries, one without the counts of the week."""
    rows = (
        Workflow.objects.all()
        if include_archived
        else Workflow.objects.exclude(status=Workflow.Status.ARCHIVED)
    )
    if asset_type:
        rows = rows.filter(asset_type=asset_type)
    counts = _week_counts(now) if with_counts else {}
    shown = [_workflow_row(row, counts.get(row.pk)) for row in rows]
    order = {key: index for index, key in enumerate(plugins.asset_types())}
    shown.sort(
        key=lambda row: (
            not row.is_failing,
            _FAILED_FIRST[row.status],
            order.get(row.asset_type, 99),
            row.name,
        )
    )
    return tuple(shown)


def workflow(pk: int, now: datetime, *, with_counts: bool = False) -> WorkflowRow:
    """One workflow. Raises NotFound."""
    row = Workflow.objects.filter(pk=pk).first()
    if row is None:
        raise NotFound(_("There is no workflow %(id)s.") % {"id": pk})
    return _workflow_row(row, _week_counts(now, pk).get(pk) if with_counts else None)


def _week_counts(now: datetime, pk: int | None = None) -> dict[int, tuple[int, int]]:
    finished = Run.objects.filter(finished_at__gte=now - timedelta(days=7))
    if pk is not None:
        finished = finished.filter(workflow_id=pk)
    good = Count("pk", filter=Q(status=Run.Status.SUCCEEDED))
    bad = Count("pk", filter=Q(status__in=FAILED))
    rows = finished.order_by().values_list("workflow_id").annotate(good=good, bad=bad)
    return {workflow_id: (good_count, bad_count) for workflow_id, good_count, bad_count in rows}


def _workflow_row(row: Workflow, counts: tuple[int, int] | None) -> WorkflowRow:
    good, bad = counts or (0, 0)
    title, lane = row.type_key, ""
    try:
        workflow_type = plugins.get(row.type_key)
        title, lane = str(workflow_type.title), workflow_type.lane.value
    except plugins.UnknownWorkflowType:
        title = _("%(key)s (not installed)") % {"key": row.type_key}
    return WorkflowRow(
        pk=row.pk,
        slug=row.slug,
        name=naming.shown(row.type_key, row.name),
        title=title,
        type_key=row.type_key,
        asset_type=row.asset_type,
        lane=lane,
        status=row.status,
        status_reason=row.status_reason,
        entries_paused=row.entries_paused,
        min_s=row.min_interval_s,
        base_s=row.base_interval_s,
        max_s=row.max_interval_s,
        interval_s=row.interval_s,
        next_run_at=row.next_run_at,
        last_run_at=row.last_run_at,
        last_result=row.last_result,
        mean_duration_s=row.mean_duration_s,
        failures=row.consecutive_failures,
        quarantined_until=row.quarantined_until,
        manual_requested_at=row.manual_requested_at,
        run_value=row.run_value,
        run_value_samples=row.run_value_samples,
        params=row.params,
        version=row.version,
        run_count=good + bad,
        success_ratio=good / (good + bad) if good + bad else None,
    )


def workflow_names() -> tuple[tuple[int, str], ...]:
    """(pk, name) of every workflow, for filters."""
    rows = Workflow.objects.values_list("pk", "type_key", "name")
    named = ((pk, naming.shown(type_key, name)) for pk, type_key, name in rows)
    return tuple(sorted(named, key=lambda item: item[1]))


# Constants for `web.pulse`: what changes whenever a workflow or a run does.
WORKFLOW_PULSE: Final = (
    "SELECT COUNT(*) FROM orchestrator_workflow",
    "SELECT MAX(updated_at) FROM orchestrator_workflow",
    "SELECT MAX(last_run_at) FROM orchestrator_workflow",
    "SELECT MAX(next_run_at) FROM orchestrator_workflow",
    "SELECT MIN(next_run_at) FROM orchestrator_workflow",
    "SELECT MAX(manual_requested_at) FROM orchestrator_workflow",
    "SELECT MAX(epoch) FROM orchestrator_controlswitch",
)
RUN_PULSE: Final = (
    "SELECT MAX(id) FROM orchestrator_run",
    "SELECT MAX(finished_at) FROM orchestrator_run",
    "SELECT COUNT(*) FROM orchestrator_run WHERE status IN ('planned', 'queued', 'running')",
    "SELECT MAX(started_at) FROM orchestrator_run WHERE status = 'running'",
)
DECISION_PULSE: Final = (
    "SELECT MAX(id) FROM orchestrator_decision",
    "SELECT MAX(last_seen_at) FROM orchestrator_decision",
)
# The newer beats are those after the one time given.
BEAT_PULSE: Final = (
    "SELECT COUNT(*) FROM orchestrator_processbeat WHERE role >= 'worker' AND role < 'workes' AND beat_at >= %s",
    "SELECT COUNT(*) FROM orchestrator_processbeat WHERE role >= 'worker' AND role < 'workes'",
    "SELECT MAX(beat_at) FROM orchestrator_processbeat WHERE role = 'loop'",
)


def workflows_version() -> str:
    """Changes whenever a workflow, an open run or the switch does. One query."""
    return version_of(*pulse(*WORKFLOW_PULSE, *RUN_PULSE), *halts())


def halts() -> tuple[bool, bool]:
    """What stops everything without a row: part of the version of whatever shows the state of workflows."""
    return control.halted_by_file(), control.halted_by_env()


def soonest(rows: Iterable[WorkflowRow], limit: int = 8) -> tuple[WorkflowRow, ...]:
    """Of rows already read, those that run next."""
    due = [(row.next_run_at, row.pk, row) for row in rows if row.is_open and row.next_run_at is not None]
    return tuple(row for _at, _pk, row in sorted(due, key=lambda item: item[:2])[:limit])


def named_params(row: WorkflowRow) -> tuple[tuple[str, str], ...]:
    """Parameters under the names the form gives them, with units; those the type dropped are left out."""
    try:
        schema = plugins.get(row.type_key).params
    except plugins.UnknownWorkflowType:
        return said.pairs(row.params)
    shown = []
    for param in schema:
        value = row.params.get(param.name, param.default)
        if param.kind == "symbols":
            text = ", ".join(value) or _("all active ones")
        elif param.kind in ("int", "float"):
            text = " ".join(part for part in (quantity(value) or "–", str(param.unit)) if part)
        else:
            text = said.text(param.name, value)
        shown.append((str(param.label), text))
    return tuple(shown)


def upcoming(limit: int = 10) -> tuple[WorkflowRow, ...]:
    """The next runs of running workflows, soonest first."""
    rows = Workflow.objects.filter(status=Workflow.Status.ACTIVE, next_run_at__isnull=False).order_by(
        "next_run_at"
    )
    return tuple(_workflow_row(row, None) for row in rows[:limit])


@dataclass(frozen=True, slots=True)
class Revision:
    """One configuration a workflow has had, and what changed against the one before."""

    version: int
    changed_by: str
    changed_at: datetime
    changes: tuple[tuple[str, str, str], ...]  # name, before, after


def field_labels(type_key: str) -> dict[str, str]:
    """What people call the fields of a configuration, by their names in code."""
    seconds = {name: f"{label} (s)" for name, label in intervals.labels().items()}
    try:
        params = {param.name: str(param.label) for param in plugins.get(type_key).params}
    except plugins.UnknownWorkflowType:
        params = {}
    return {"name": _("Name"), **seconds, **params}


def revisions(pk: int, limit: int = 20, names: Mapping[str, str] | None = None) -> tuple[Revision, ...]:
    """Newest first."""
    rows = list(WorkflowRevision.objects.filter(workflow_id=pk).order_by("-version")[: limit + 1])
    shown = []
    for index, row in enumerate(rows[:limit]):
        before = rows[index + 1].config if index + 1 < len(rows) else None
        changes = differences(before, row.config, names)
        shown.append(Revision(row.version, row.changed_by, row.changed_at, changes))
    return tuple(shown)


def revision_config(pk: int, version: int) -> Mapping[str, Any] | None:
    return (
        WorkflowRevision.objects.filter(workflow_id=pk, version=version)
        .values_list("config", flat=True)
        .first()
    )


def differences(
    before: Any, after: Any, labels: Mapping[str, str] | None = None
) -> tuple[tuple[str, str, str], ...]:
    """What changed between two configurations, field by field under its label; empty for the first one."""
    if not isinstance(before, Mapping) or not isinstance(after, Mapping):
        return ()
    old, new = _flat(before), _flat(after)
    names: Iterable[str] = dict.fromkeys([*old, *new])
    return tuple(
        ((labels or {}).get(name, name), old.get(name, "–"), new.get(name, "–"))
        for name in names
        if old.get(name) != new.get(name)
    )


def _flat(config: Mapping[str, Any]) -> dict[str, str]:
    shown: dict[str, str] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            shown |= {key: str(item) for key, item in value.items()}
        else:
            shown[name] = str(value)
    return shown


def workflow_events(pk: int, limit: int = 10) -> tuple[Mapping[str, Any], ...]:
    rows = WorkflowEvent.objects.filter(row_id=pk).order_by("-at", "-pk")
    return tuple(rows.values("event", "from_status", "to_status", "at", "detail")[:limit])


@dataclass(frozen=True, slots=True)
class Beat:
    """A process and whether it was heard of lately."""

    name: str
    role: str
    host: str
    pid: int
    started_at: datetime
    beat_at: datetime
    is_alive: bool
    info: Mapping[str, Any]


def beats(now: datetime) -> tuple[Beat, ...]:
    rows = ProcessBeat.objects.order_by("role", "name")
    return tuple(
        Beat(
            row.name,
            row.role,
            row.host,
            row.pid,
            row.started_at,
            row.beat_at,
            now - row.beat_at <= BEAT_LIMIT,
            row.info,
        )
        for row in rows
    )
