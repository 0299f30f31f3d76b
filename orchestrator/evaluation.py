"""From rows to decisions: ask the plugins, then the engine, for many at once. One bad workflow stays alone."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from orchestrator import plugins
from orchestrator.engine.decide import decide
from orchestrator.engine.types import (
    Bounds,
    Conditions,
    Decision,
    Exposure,
    History,
    HostLoad,
    Subject,
    Switch,
)
from orchestrator.models import Run, Workflow
from orchestrator.plugins import WorkflowType, WorkflowView
from tradingsite.foundation import statements

log = logging.getLogger(__name__)
T = TypeVar("T")

_STATIC = (
    "pk",
    "version",
    "slug",
    "type_key",
    "params",
    "min_interval_s",
    "base_interval_s",
    "max_interval_s",
)
_MOVING = (
    "pk", "version", "last_run_at", "interval_s", "consecutive_failures", "quarantined_until", "mean_duration_s",
    "run_value", "run_value_samples", "manual_requested_at", "manual_requested_by",
)  # fmt: skip


class Probe(Protocol):
    def read(self) -> HostLoad: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """What changes only when somebody edits the workflow. `kind` is None when no app provides its type."""

    pk: int
    version: int
    slug: str
    type_key: str
    params: Mapping[str, Any]
    bounds: Bounds
    kind: WorkflowType | None
    subject: Subject | None
    expires_after: timedelta


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """One workflow to decide about."""

    known: Known
    view: WorkflowView
    history: History
    requested_by: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluated:
    """A decision with all it was made from."""

    candidate: Candidate
    subject: Subject
    conditions: Conditions
    exposure: Exposure
    history: History
    decision: Decision


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """A workflow that could not be evaluated. `code` is for machines, `error` for people."""

    pk: int
    slug: str
    code: str
    error: str


class Catalogue:
    """The active workflows, read anew at every tick; their configuration only when its version moved."""

    def __init__(self) -> None:
        self._known: dict[int, Known] = {}

    def candidates(self, now: datetime, hot: Mapping[int, bool | None] | None = None) -> list[Candidate]:
        """Active workflows without an open run, and those that are due again although theirs is still open.

        `hot`: by pk, whether volatility was above its threshold in the decision in force.
        """
        rows = statements.values(
            Workflow, _MOVING, "WHERE status = %s ORDER BY id", (Workflow.Status.ACTIVE.value,)
        )
        self._refresh(
            [row[0] for row in rows if not self._is_known(row[0], row[1])], {row[0] for row in rows}
        )
        open_slots: dict[int, datetime] = dict(
            statements.values(Run, ("workflow_id", "slot_at"), "WHERE status IN (%s, %s, %s)", Run.OPEN)
        )
        found = []
        for row in rows:
            slot_at = open_slots.get(row[0])
            known = self._known.get(row[0])
            if known is None:
                continue  # edited between the two reads: next tick
            if slot_at is not None and (now - slot_at).total_seconds() < (row[3] or known.bounds.base_s):
                continue  # busy and not due again: there is nothing to decide
            was_hot = hot.get(row[0]) if hot else None
            found.append(_candidate(known, row, is_open=slot_at is not None, was_hot=was_hot))
        return found

    def _is_known(self, pk: int, version: int) -> bool:
        known = self._known.get(pk)
        return known is not None and known.version == version and known.kind is not None

    def _refresh(self, pks: Sequence[int], alive: set[int]) -> None:
        for gone in self._known.keys() - alive:
            del self._known[gone]
        for start in range(0, len(pks), 500):
            for row in Workflow.objects.filter(pk__in=pks[start : start + 500]).values_list(*_STATIC):
                self._known[row[0]] = _known(*row)


def _known(
    pk: int, version: int, slug: str, type_key: str, params: dict[str, Any], low: int, base: int, high: int
) -> Known:
    bounds = Bounds(min_s=float(low), base_s=float(base), max_s=float(high))
    try:
        kind: WorkflowType | None = plugins.get(type_key)
    except plugins.UnknownWorkflowType:
        kind = None
    subject, expires_after = None, timedelta(seconds=2 * base)
    if kind is not None:
        params = {param.name: params.get(param.name, param.default) for param in kind.params}
        expires_after = kind.expires_after or expires_after
        subject = Subject(
            key=slug,
            bounds=bounds,
            is_trading=kind.is_trading,
            load_weight=kind.load_weight,
            priority=int(kind.priority),
        )
    return Known(
        pk=pk, version=version, slug=slug, type_key=type_key, params=params, bounds=bounds, kind=kind, subject=subject,
        expires_after=expires_after,
    )  # fmt: skip


def _candidate(known: Known, row: tuple[Any, ...], *, is_open: bool, was_hot: bool | None) -> Candidate:
    _pk, _version, last, interval, failures, quarantined, mean, value, samples, asked_at, asked_by = row
    return Candidate(
        known=known,
        view=WorkflowView(
            pk=known.pk, slug=known.slug, type_key=known.type_key, params=known.params, last_run_at=last,
            base_interval_s=known.bounds.base_s,
        ),
        history=History(
            last_run_at=last, interval_s=interval, consecutive_failures=failures, quarantined_until=quarantined,
            mean_duration_s=mean, run_value=value, run_value_samples=samples, manual_requested_at=asked_at,
            open_run=is_open, was_hot=was_hot,
        ),
        requested_by=asked_by,
    )  # fmt: skip


def evaluate(
    candidates: Iterable[Candidate], load: HostLoad, switch: Switch, now: datetime
) -> tuple[list[Evaluated], list[Trouble]]:
    """Decide about all; whatever a plugin or the engine raises for one workflow becomes that workflow's trouble."""
    by_type: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        by_type.setdefault(candidate.known.type_key, []).append(candidate)
    done: list[Evaluated] = []
    troubles: list[Trouble] = []
    for group in by_type.values():
        kind = group[0].known.kind
        if kind is None:
            troubles += [
                _trouble(item, "unknown_type", f"No app provides {item.known.type_key}.") for item in group
            ]
            continue
        conditions = _ask(kind.observe, group, now, troubles)
        exposures = _ask(kind.exposure, group, now, troubles)
        for item in group:
            seen, stake = conditions.get(item.known.pk), exposures.get(item.known.pk)
            if seen is not None and stake is not None:
                _decide(item, seen, stake, load, switch, now, done, troubles)
    return done, troubles


def _ask(
    question: Callable[[Sequence[WorkflowView], datetime], Mapping[int, T]],
    group: Sequence[Candidate],
    now: datetime,
    troubles: list[Trouble],
) -> dict[int, T]:
    """Ask for all at once; when that fails, one by one, so that only the bad ones are without an answer."""
    try:
        answers = dict(question([item.view for item in group], now))
    except Exception as error:  # noqa: BLE001 - a plugin is foreign code; each failure is recorded on its workflow
        log.warning("%s failed for %d workflows at once: %s", question, len(group), error)
        answers = _ask_singly(question, group, now, troubles)
        return answers
    for item in group:
        if item.known.pk not in answers:
            troubles.append(_trouble(item, "no_answer", "The plugin did not answer for this workflow."))
    return answers


def _ask_singly(
    question: Callable[[Sequence[WorkflowView], datetime], Mapping[int, T]],
    group: Sequence[Candidate],
    now: datetime,
    troubles: list[Trouble],
) -> dict[int, T]:
    answers: dict[int, T] = {}
    for item in group:
        try:
            answers[item.known.pk] = question([item.view], now)[item.known.pk]
        except Exception as error:  # noqa: BLE001 - recorded on the workflow, and it is moved into the future
            troubles.append(_trouble(item, "evaluation_failed", f"{type(error).__name__}: {error}"))
    return answers


def _decide(
    item: Candidate, conditions: Conditions, exposure: Exposure, load: HostLoad, switch: Switch, now: datetime,
    done: list[Evaluated], troubles: list[Trouble],
) -> None:  # fmt: skip
    subject = item.known.subject
    assert subject is not None  # its kind is known
    if switch is not Switch.RUNNING:
        subject = Subject(
            key=subject.key, bounds=subject.bounds, is_trading=subject.is_trading, switch=switch,
            load_weight=subject.load_weight, priority=subject.priority,
        )  # fmt: skip
    try:
        decision = decide(subject, conditions, exposure, load, item.history, now)
    except Exception as error:  # noqa: BLE001 - recorded on the workflow, and it is moved into the future
        troubles.append(_trouble(item, "evaluation_failed", f"{type(error).__name__}: {error}"))
        return
    done.append(
        Evaluated(
            candidate=item, subject=subject, conditions=conditions, exposure=exposure, history=item.history,
            decision=decision,
        )
    )  # fmt: skip


def _trouble(item: Candidate, code: str, error: str) -> Trouble:
    return Trouble(pk=item.known.pk, slug=item.known.slug, code=code, error=error[:500])
