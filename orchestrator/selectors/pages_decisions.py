"""Reads for the decision timeline. Sentences are built here, at reading time, in the reader's language."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Final

from django.db.models import Max, OuterRef, Subquery, Sum
from django.utils import timezone
from django.utils.translation import gettext as _

from orchestrator import explain, naming
from orchestrator.models import Decision, Run, Workflow
from orchestrator.selectors.pages import DECISION_PULSE, RUN_PULSE, Page, page_of
from orchestrator.selectors.words import input_word
from tradingsite.foundation import said
from tradingsite.foundation.errors import NotFound
from tradingsite.foundation.web import pulse, version_of

PAGE_SIZE: Final = 40
_LOG_YEAR: Final = math.log(366 * 86_400)


@dataclass(frozen=True, kw_only=True, slots=True)
class DecisionRow:
    """One decision, or several equal skips told as one: `count` checks between `first_at` and `last_at`.

    `at` is when the (newest) decision was made: what the lists are sorted by, and what they show.
    """

    pk: int
    workflow_pk: int
    workflow_name: str
    asset_type: str
    action: str
    cause: str
    sentence: str
    at: datetime
    first_at: datetime
    last_at: datetime
    count: int
    interval_before_s: float | None
    interval_after_s: float
    next_run_at: datetime | None
    gates: tuple[str, ...]
    run_pk: int | None
    run_status: str
    run_changed: bool | None

    @property
    def is_quiet(self) -> bool:
        return self.action == "skip"

    @property
    def day(self) -> date:
        return timezone.localtime(self.at).date()


@dataclass(frozen=True, slots=True)
class Filter:
    """What the timeline shows. Empty means everything."""

    workflow_pk: int | None = None
    asset_type: str = ""
    action: str = ""
    cause: str = ""
    since: datetime | None = None
    group_skips: bool = True


def _with_outcome(rows: Any) -> Any:
    """Decisions with their workflow and the run they led to, in one query."""
    runs = Run.objects.filter(decision=OuterRef("pk")).order_by("-pk")
    return (
        rows.select_related("workflow")
        .defer("workflow__params")
        .annotate(
            run_pk=Subquery(runs.values("pk")[:1]),
            run_status=Subquery(runs.values("status")[:1]),
            run_changed=Subquery(runs.values("changed")[:1]),
        )
    )


def _matching(wanted: Filter) -> Any:
    """Decisions the filter lets through, newest first."""
    rows = Decision.objects.all()
    if wanted.workflow_pk is not None:
        rows = rows.filter(workflow_id=wanted.workflow_pk)
    if wanted.asset_type:
        # By the workflows' ids: joined, the whole timeline would be walked.
        rows = rows.filter(workflow_id__in=Workflow.objects.filter(asset_type=wanted.asset_type).values("pk"))
    if wanted.action:
        rows = rows.filter(action=wanted.action)
    if wanted.cause:
        rows = rows.filter(cause=wanted.cause)
    if wanted.since is not None:
        rows = rows.filter(decided_at__gte=wanted.since)
    return rows


def _rows(wanted: Filter, start: int, end: int) -> Any:
    """A stretch of the timeline. The ids are found first, from narrow rows: sorting whole decisions is slow."""
    return _with_outcome(Decision.objects.filter(pk__in=_matching(wanted).values("pk")[start:end]))


def timeline(wanted: Filter, number: int = 1, size: int = PAGE_SIZE) -> Page:
    """Newest decisions first; repeated skips of a workflow are told once. One query."""
    start = (number - 1) * size
    page = page_of(list(_rows(wanted, start, start + size + 1)), number, size)
    shown = tuple(_row(row) for row in page.rows)
    return replace(page, rows=group_skips(shown) if wanted.group_skips else shown)


def every(wanted: Filter) -> Iterator[DecisionRow]:
    """All that match, newest first and each on its own, read while they are used."""
    return map(_row, _with_outcome(_matching(wanted)).iterator(500))


def group_skips(rows: tuple[DecisionRow, ...]) -> tuple[DecisionRow, ...]:
    """Skips of one workflow behind the same gates, with nothing of that workflow in between, become one row."""
    result: list[DecisionRow] = []
    open_at: dict[int, int] = {}  # workflow -> position of its newest shown row
    for row in rows:
        at = open_at.get(row.workflow_pk)
        above = result[at] if at is not None else None
        if (
            above is not None
            and row.is_quiet
            and above.is_quiet
            and above.gates == row.gates
            and above.day == row.day
        ):
            result[at or 0] = replace(above, first_at=row.first_at, count=above.count + row.count)
            continue
        open_at[row.workflow_pk] = len(result)
        result.append(row)
    return tuple(result)


def _row(row: Any) -> DecisionRow:
    return DecisionRow(
        pk=row.pk,
        workflow_pk=row.workflow_id,
        workflow_name=naming.shown(row.workflow.type_key, row.workflow.name),
        asset_type=row.workflow.asset_type,
        action=row.action,
        cause=row.cause,
        sentence=str(explain.sentence(row)),
        at=row.decided_at,
        first_at=row.decided_at,
        last_at=max(row.last_seen_at, row.decided_at),
        count=row.fold_count,
        interval_before_s=row.interval_before_s,
        interval_after_s=row.interval_after_s,
        next_run_at=row.next_run_at,
        gates=tuple(sorted(str(gate.get("code", "")) for gate in row.gates)),
        run_pk=row.run_pk,
        run_status=row.run_status or "",
        run_changed=row.run_changed,
    )


def latest(
    limit: int = 5, *, asset_type: str = "", workflow_pk: int | None = None
) -> tuple[DecisionRow, ...]:
    """The newest decisions. One query."""
    return timeline(Filter(asset_type=asset_type, workflow_pk=workflow_pk), size=limit).rows


def newest_by_workflow(asset_type: str = "") -> dict[int, DecisionRow]:
    """The newest decision of each workflow, newest first. One query."""
    newest = Decision.objects.filter(workflow=OuterRef("pk")).order_by("-decided_at", "-pk").values("pk")[:1]
    workflows = Workflow.objects.exclude(status=Workflow.Status.ARCHIVED)
    if asset_type:
        workflows = workflows.filter(asset_type=asset_type)
    ids = workflows.annotate(newest=Subquery(newest)).values("newest")
    rows = _with_outcome(Decision.objects.filter(pk__in=ids)).order_by("-decided_at", "-pk")
    return {row.workflow_id: _row(row) for row in rows}


def version(wanted: Filter) -> str:
    """Changes whenever the timeline does (a new decision, one more equal one, an outcome). One query."""
    return version_of(
        *pulse(*DECISION_PULSE, *RUN_PULSE),
        wanted.workflow_pk,
        wanted.asset_type,
        wanted.action,
        wanted.cause,
    )


@dataclass(frozen=True, slots=True)
class Bar:
    """A factor in the waterfall: from `left` for `width`, in percent of the drawing; text, so no language changes it."""

    left: str
    width: str
    tone: str


@dataclass(frozen=True, slots=True)
class DecisionDetail:
    """Everything about one decision, ready to show."""

    row: DecisionRow
    factors: tuple[Mapping[str, Any], ...]
    gates: tuple[Mapping[str, Any], ...]
    counterfactuals: tuple[Mapping[str, Any], ...]
    inputs: tuple[tuple[str, tuple[said.Fact, ...]], ...]
    inputs_as_of: datetime | None
    data_age_s: float | None
    data_age_limit_s: float | None
    log_interval: float
    sum_of_contributions: float
    priority: int
    rule_version: str
    zero: str
    older_pk: int | None
    newer_pk: int | None


def detail(pk: int) -> DecisionDetail:
    """One decision. Raises NotFound."""
    row = _with_outcome(Decision.objects.filter(pk=pk)).first()
    if row is None:
        raise NotFound(_("There is no decision %(id)s.") % {"id": pk})
    contributions = [float(factor.get("contribution") or 0.0) for factor in row.factors]
    bars, zero = waterfall(contributions)
    words = explain.factors(row)
    so_far = itertools.accumulate(contributions)  # logarithms of seconds
    factors = tuple(
        {**_mapping(word), "bar": bar, "so_far_s": math.exp(min(total, _LOG_YEAR))}
        for word, bar, total in zip(words, bars, so_far, strict=False)
    )
    same = Decision.objects.filter(workflow_id=row.workflow_id)
    return DecisionDetail(
        row=_row(row),
        factors=factors,
        gates=tuple(_mapping(gate) for gate in explain.gates(row)),
        counterfactuals=tuple(_mapping(item) for item in explain.counterfactuals(row)),
        inputs=tuple(
            (input_word(name), said.facts(values))
            for name, values in row.inputs.items()
            if isinstance(values, Mapping)
        ),
        inputs_as_of=row.inputs_as_of,
        data_age_s=row.data_age_s,
        data_age_limit_s=row.data_age_limit_s,
        log_interval=row.log_interval,
        sum_of_contributions=sum(contributions),
        priority=row.priority,
        rule_version=row.rule_version,
        zero=zero,
        older_pk=same.filter(pk__lt=pk).aggregate(newest=Max("pk"))["newest"],
        newer_pk=same.filter(pk__gt=pk).order_by("pk").values_list("pk", flat=True).first(),
    )


def _mapping(value: Any) -> dict[str, Any]:
    """A display row as a mapping, whether it is one or a frozen value."""
    if isinstance(value, Mapping):
        return dict(value)
    fields = getattr(value, "__dataclass_fields__", {})
    return {name: getattr(value, name) for name in fields}


def waterfall(contributions: list[float]) -> tuple[list[Bar], str]:
    """Bars that each start where the one before ended, and where zero lies, in percent of the width."""
    ends, total = [0.0], 0.0
    for value in contributions:
        total += value
        ends.append(total)
    low, high = min(ends), max(ends)
    span = (high - low) or 1.0
    bars = []
    for index, value in enumerate(contributions):
        left = (min(ends[index], ends[index + 1]) - low) / span * 100
        width = max(abs(value) / span * 100, 0.4)
        tone = "total" if index == 0 else "faster" if value < 0 else "slower"
        bars.append(Bar(f"{min(left, 99.6):.2f}", f"{width:.2f}", tone))
    return bars, f"{(0.0 - low) / span * 100:.2f}"


def folded_checks() -> int:
    """How many checks the stored decisions stand for."""
    return int(Decision.objects.aggregate(total=Sum("fold_count"))["total"] or 0)


def marks(asset_type: str, since: datetime, limit: int = 200) -> list[dict[str, Any]]:
    """Decisions to run of an asset type, for the chart: when, why and the sentence. Oldest first."""
    rows = _rows(Filter(asset_type=asset_type, action=Decision.Action.RUN, since=since), 0, limit)
    shown = [
        {
            "ts": int(row.decided_at.timestamp()),
            "pk": row.pk,
            "cause": row.cause,
            "text": str(explain.sentence(row)),
        }
        for row in rows
    ]
    return shown[::-1]
