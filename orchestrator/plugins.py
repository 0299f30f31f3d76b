"""The contract between WHEN (this app) and WHAT (the apps that plug in), and the registry.

An app registers one `WorkflowType` per kind of workflow in its `AppConfig.ready`. Nothing here knows what is traded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from typing import Any, Protocol

from django.utils.functional import Promise

from orchestrator.engine.types import Bounds, Conditions, Exposure
from orchestrator.params import Param
from tradingsite.foundation import said


class Lane(StrEnum):
    """A separate django-q2 queue with its own cluster."""

    TRADING = "trading"
    MAINTENANCE = "maintenance"


class Priority(IntEnum):
    HIGH = 1
    NORMAL = 2
    LOW = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class CadenceBounds:
    """The widest cadence a workflow of this type may ever be given. Must satisfy 0 < min <= base <= max."""

    minimum: timedelta
    base: timedelta
    maximum: timedelta

    def as_engine(self) -> Bounds:
        return Bounds(
            min_s=self.minimum.total_seconds(),
            base_s=self.base.total_seconds(),
            max_s=self.maximum.total_seconds(),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkflowView:
    """What a plugin may see of a workflow when it observes."""

    pk: int
    slug: str
    type_key: str
    params: Mapping[str, Any]
    last_run_at: datetime | None
    base_interval_s: float


class Guard(Protocol):
    """Lets a step ask whether it may still act. Raises `orchestrator.runner.Superseded` when it may not."""

    def __call__(self) -> None: ...


@dataclass(kw_only=True, slots=True)
class RunContext:
    """What a step is given. `shared` carries values from one step of a run to the next (never across runs)."""

    run_id: int
    epoch: int
    workflow_id: int
    slug: str
    type_key: str
    params: Mapping[str, Any]
    now: datetime  # the instant this run decides for
    entries_allowed: bool  # False while entries are paused: only risk-reducing actions
    guard: Guard  # call before every irreversible action: epoch and switch are read again
    shared: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class StepResult:
    """What a step did. `changed` says whether a target, stop, forecast or position moved: it feeds the learned value."""

    changed: bool = False
    summary: Mapping[str, Any] = field(default_factory=dict)  # JSON values only, no NaN
    api_weight: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskSpec:
    """One named step. `idempotent` steps may be repeated after a crash without a person."""

    name: str
    run: Callable[[RunContext], StepResult]
    idempotent: bool = True


def _always_open(workflows: Sequence[WorkflowView], now: datetime) -> Mapping[int, Conditions]:
    return {workflow.pk: Conditions(as_of=now) for workflow in workflows}


def _nothing_at_stake(workflows: Sequence[WorkflowView], now: datetime) -> Mapping[int, Exposure]:
    return {workflow.pk: Exposure() for workflow in workflows}


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkflowType:
    """A kind of workflow. `observe` and `exposure` answer for all workflows of the type at once, in few queries.

    Both must answer for every pk asked, must not write, must not call the network and must not raise for one bad
    workflow: unknown is `None` in the answer.
    """

    key: str
    title: str | Promise
    lane: Lane
    priority: Priority
    bounds: CadenceBounds
    steps: tuple[TaskSpec, ...]
    asset_type: str = ""  # empty for maintenance
    description: str | Promise = ""
    params: tuple[Param, ...] = ()
    observe: Callable[[Sequence[WorkflowView], datetime], Mapping[int, Conditions]] = _always_open
    exposure: Callable[[Sequence[WorkflowView], datetime], Mapping[int, Exposure]] = _nothing_at_stake
    deadline: timedelta = timedelta(seconds=90)  # a run older than this is stopped
    expires_after: timedelta | None = (
        None  # a queued run older than this is skipped as too late (None: 2 x base)
    )
    load_weight: float = 1.0
    replayable: bool = True  # False for work on the outside world, which a replay has none of

    @property
    def is_trading(self) -> bool:
        return self.lane is Lane.TRADING


class UnknownWorkflowType(LookupError):
    """The key names no registered type. The caller shows which workflow is orphaned."""


_registry: dict[str, WorkflowType] = {}


def register(workflow_type: WorkflowType) -> None:
    """Add a type. Raises ValueError when the key is taken by another one or the bounds are not ordered."""
    bounds = workflow_type.bounds
    if not timedelta(0) < bounds.minimum <= bounds.base <= bounds.maximum:
        raise ValueError(
            f"{workflow_type.key}: bounds must satisfy 0 < minimum <= base <= maximum, were {bounds}"
        )
    existing = _registry.get(workflow_type.key)
    if existing is not None and existing is not workflow_type:
        raise ValueError(f"Workflow type {workflow_type.key!r} is registered twice")
    _registry[workflow_type.key] = workflow_type
    words = {workflow_type.key: workflow_type.title}
    if workflow_type.asset_type:
        words.setdefault(workflow_type.asset_type, workflow_type.title)
    said.register(words=words)


def unregister(key: str) -> None:
    """For tests that register a toy type."""
    _registry.pop(key, None)


def get(key: str) -> WorkflowType:
    try:
        return _registry[key]
    except KeyError:
        raise UnknownWorkflowType(key) from None


def all_types() -> tuple[WorkflowType, ...]:
    return tuple(_registry.values())


def asset_types() -> tuple[str, ...]:
    """Keys of the asset types that are plugged in, in order of registration."""
    return tuple(dict.fromkeys(t.asset_type for t in _registry.values() if t.asset_type))
