"""What the history of the workflows suggests to change, told in the reader's language."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from django.db.models import ExpressionWrapper, F, Func, JSONField, QuerySet, TextField
from django.utils.translation import gettext as _

from orchestrator import plugins
from orchestrator.engine import RULE_VERSION
from orchestrator.engine.cadence import FACTORS
from orchestrator.engine.types import Bounds
from orchestrator.models import Decision, Run, Workflow
from orchestrator.recommend import Recommendation, Seen, Subject, recommend, seen
from tradingsite.foundation.api.shapes import OneOf
from tradingsite.foundation.errors import NotFound

WINDOW: Final = timedelta(days=14)
MOST_ROWS: Final = 10_000  # newest decisions, and newest runs, that are looked at


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangeItem:
    """A suggested value of one setting, in its own unit (intervals in seconds)."""

    setting: str
    before: float
    after: float


@dataclass(frozen=True, kw_only=True, slots=True)
class RecommendationItem:
    """Advice with its evidence. Nothing is changed by itself."""

    code: str
    severity: Annotated[str, OneOf("info", "warning")]
    workflow: Annotated[str, "slug"]
    name: str
    asset_type: str
    evidence_n: Annotated[int, "runs or decisions behind it"]
    title: str
    text: str
    params: Annotated[dict[str, Any], "the numbers in the text"]
    change: ChangeItem | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Recommendations:
    """Warnings first. Empty means that there is nothing to advise, or too little history to say."""

    asset_type: Annotated[str | None, "null: of all workflows"]
    window_s: int
    results: list[RecommendationItem]


def all_of(now: datetime) -> Recommendations:
    """For every workflow. Three queries."""
    return _recommendations(None, Workflow.objects.all(), now)


def of_type(asset_type: str, now: datetime) -> Recommendations:
    """For the workflows of one asset type. Raises NotFound for one that is not plugged in."""
    if asset_type not in plugins.asset_types():
        raise NotFound(_("There is no asset type %(name)s.") % {"name": asset_type})
    return _recommendations(asset_type, Workflow.objects.filter(asset_type=asset_type), now)


def for_workflow(
    row: Workflow, *, decisions: Iterable[Any], runs: Iterable[Any], now: datetime
) -> list[Recommendation]:
    """Advice for one workflow, from rows already read; none when its type is not installed."""
    try:
        kind = plugins.get(row.type_key)
    except plugins.UnknownWorkflowType:
        return []
    bounds = Bounds(min_s=row.min_interval_s, base_s=row.base_interval_s, max_s=row.max_interval_s)
    subject = Subject(
        slug=row.slug,
        name=row.name,
        asset_type=row.asset_type,
        bounds=bounds,
        type_bounds=kind.bounds.as_engine(),
    )
    return list(recommend(subject, decisions=decisions, runs=runs, now=now))


def _recommendations(asset_type: str | None, rows: QuerySet[Workflow], now: datetime) -> Recommendations:
    listed = list(rows.exclude(status=Workflow.Status.ARCHIVED).order_by("slug"))
    pks, since = [row.pk for row in listed], now - WINDOW
    decisions = _decisions(pks if asset_type else None, since, now)
    runs = _by_workflow(
        Run.objects.filter(workflow_id__in=pks, finished_at__gte=since)
        .order_by("-finished_at", "-pk")
        .values("workflow_id", "status", "changed", "started_at", "finished_at", "skip_reason", "error_code")
    )
    found = [
        item
        for row in listed
        for item in for_workflow(row, decisions=decisions[row.pk], runs=runs[row.pk], now=now)
    ]
    found.sort(key=lambda item: item.severity != "warning")
    return Recommendations(
        asset_type=asset_type, window_s=int(WINDOW.total_seconds()), results=[_item(item) for item in found]
    )


_PICKED: Final = tuple(
    (FACTORS.index(code), name)
    for code, name in (
        ("volatility", "value"), ("volatility", "threshold"), ("load", "contribution"), ("bounds", "contribution"),
    )
)  # fmt: skip


class _Numbers(Func):
    """Some members of the stored list of factors, as one JSON list: the database reads each list once."""

    output_field = JSONField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        column, values = compiler.compile(self.source_expressions[0])
        paths = ", ".join(f"'$[{index}].{name}'" for index, name in _PICKED)
        return f"JSON_EXTRACT({column}, {paths})", values

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        column, values = compiler.compile(self.source_expressions[0])
        members = ", ".join(f"({column})->{index}->'{name}'" for index, name in _PICKED)
        return f"jsonb_build_array({members})", list(values) * len(_PICKED)


def _decisions(pks: list[int] | None, since: datetime, now: datetime) -> dict[int, list[Seen]]:
    """The newest decisions of these workflows (None: of all), with the three factors that matter.

    The database takes them out of the stored list by position: reading thousands of lists whole takes a second.
    Decisions by older rules may have another order, and say nothing about today's.
    """
    rows = Decision.objects.filter(decided_at__gte=since, decided_at__lte=now, rule_version=RULE_VERSION)
    if pks is not None:
        rows = rows.filter(workflow_id__in=pks)
    # As text where the database stores text: thousands of times are read faster by the plain parser.
    at = ExpressionWrapper(F("decided_at"), output_field=TextField())
    wanted = rows.order_by("-decided_at", "-pk").values_list("workflow_id", at, "gates", _Numbers("factors"))
    grouped: dict[int, list[Seen]] = defaultdict(list)
    for workflow_id, decided_at, gates, numbers in wanted[:MOST_ROWS]:
        grouped[workflow_id].append(seen(decided_at, gates, *numbers))
    return grouped


def _by_workflow(rows: Any) -> dict[int, list[dict[str, Any]]]:
    grouped: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in rows[:MOST_ROWS]:
        grouped[row["workflow_id"]].append(row)
    return grouped


def _item(found: Recommendation) -> RecommendationItem:
    change = found.change
    return RecommendationItem(
        code=found.code, severity=found.severity, workflow=found.slug, name=found.name, asset_type=found.asset_type,
        evidence_n=found.evidence_n, title=found.title, text=found.text, params=dict(found.params),
        change=ChangeItem(setting=change.setting, before=change.before, after=change.after) if change else None,
    )  # fmt: skip
