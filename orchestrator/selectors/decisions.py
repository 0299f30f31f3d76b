"""Decisions as the API shows them: numbers as stored, the sentence in the reader's language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final

from django.db.models import QuerySet
from django.utils import translation
from django.utils.translation import gettext as _

from orchestrator import explain
from orchestrator.explain.alternatives import alternatives
from orchestrator.models import Decision, Run
from tradingsite.foundation.api.shapes import OneOf
from tradingsite.foundation.errors import NotFound

ACTIONS: Final = tuple(Decision.Action.values)
Action = Annotated[str, OneOf(*ACTIONS)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """One sentence about a decision, made from the same numbers everywhere."""

    lang: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class DecisionItem:
    """One decision. `checks` equal evaluations between decided_at and last_seen_at are told as one."""

    id: int
    workflow_id: int
    workflow: Annotated[str, "slug"]
    asset_type: str
    decided_at: datetime
    last_seen_at: datetime
    checks: int
    action: Action
    cause: str
    score: Annotated[
        float, "natural logarithm of the interval in seconds: the sum of the factors' contributions"
    ]
    guards: list[str]
    interval_before_s: float | None
    interval_after_s: float
    next_check_at: datetime | None
    priority: Annotated[int, "1 high to 3 low"]
    inputs_as_of: datetime | None
    rule_version: str
    explanation: Explanation


@dataclass(frozen=True, kw_only=True, slots=True)
class FactorItem:
    """One term of the sum: below zero it shortens the interval."""

    code: str
    value: float | None
    threshold: float | None
    contribution: float


@dataclass(frozen=True, kw_only=True, slots=True)
class GuardItem:
    """A hard rule that held."""

    code: str
    value: Any
    limit: Any


@dataclass(frozen=True, kw_only=True, slots=True)
class CounterfactualItem:
    """The smallest change of one input that would have changed the decision."""

    code: str
    value: float | None
    needed: float | None
    action: Action
    interval_s: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class DecisionRun:
    """The run a decision led to."""

    id: int
    status: str
    changed: bool | None


@dataclass(frozen=True, kw_only=True, slots=True)
class DecisionDetail:
    """One decision with everything it was made from."""

    id: int
    workflow_id: int
    workflow: Annotated[str, "slug"]
    asset_type: str
    decided_at: datetime
    last_seen_at: datetime
    checks: int
    action: Action
    cause: str
    score: Annotated[
        float, "natural logarithm of the interval in seconds: the sum of the factors' contributions"
    ]
    factors: list[FactorItem]
    guards: list[GuardItem]
    counterfactuals: list[CounterfactualItem]
    interval_before_s: float | None
    interval_after_s: float
    next_check_at: datetime | None
    priority: Annotated[int, "1 high to 3 low"]
    inputs: Annotated[dict[str, Any], "what the engine saw"]
    inputs_as_of: datetime | None
    data_age_s: float | None
    data_age_limit_s: float | None
    rule_version: str
    run: DecisionRun | None
    explanation: Explanation


def rows(
    *,
    workflow: str = "",
    asset_type: str = "",
    action: Sequence[str] = (),
    cause: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
) -> QuerySet[Decision]:
    """Decisions made in [since, until); `workflow` is a slug."""
    found = Decision.objects.select_related("workflow").defer("workflow__params")
    if workflow:
        found = found.filter(workflow__slug=workflow)
    if asset_type:
        found = found.filter(workflow__asset_type=asset_type)
    if action:
        found = found.filter(action__in=list(action))
    if cause:
        found = found.filter(cause=cause)
    if since is not None:
        found = found.filter(decided_at__gte=since)
    return found.filter(decided_at__lt=until) if until is not None else found


def item(row: Decision) -> DecisionItem:
    """The row of a decision read with its workflow."""
    return DecisionItem(**_fields(row), guards=[str(gate.get("code", "")) for gate in row.gates])


def one(pk: int) -> DecisionDetail:
    """Two queries. Raises NotFound."""
    row = Decision.objects.select_related("workflow").filter(pk=pk).first()
    if row is None:
        raise NotFound(_("There is no decision %(id)s.") % {"id": pk})
    return DecisionDetail(
        **_fields(row),
        factors=[
            FactorItem(**_picked(factor, "code", "value", "threshold", "contribution"))
            for factor in row.factors
        ],
        guards=[GuardItem(**_picked(gate, "code", "value", "limit")) for gate in row.gates],
        counterfactuals=[
            CounterfactualItem(**_picked(item, "code", "value", "needed", "action", "interval_s"))
            for item in alternatives(row)
        ],
        inputs=row.inputs,
        data_age_s=row.data_age_s,
        data_age_limit_s=row.data_age_limit_s,
        run=_run(pk),
    )


def explanation(row: Decision) -> Explanation:
    """The sentence in the active language."""
    return Explanation(lang=translation.get_language() or "en", text=str(explain.sentence(row)))


def _fields(row: Decision) -> dict[str, Any]:
    return {
        "id": row.pk,
        "workflow_id": row.workflow_id,
        "workflow": row.workflow.slug,
        "asset_type": row.workflow.asset_type,
        "decided_at": row.decided_at,
        "last_seen_at": row.last_seen_at,
        "checks": row.fold_count,
        "action": row.action,
        "cause": row.cause,
        "score": row.log_interval,
        "interval_before_s": row.interval_before_s,
        "interval_after_s": row.interval_after_s,
        "next_check_at": row.next_run_at,
        "priority": row.priority,
        "inputs_as_of": row.inputs_as_of,
        "rule_version": row.rule_version,
        "explanation": explanation(row),
    }


def _picked(values: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: values.get(name) for name in names}


def _run(decision_id: int) -> DecisionRun | None:
    found = (
        Run.objects.filter(decision_id=decision_id).order_by("pk").values("id", "status", "changed").first()
    )
    return DecisionRun(**found) if found else None
