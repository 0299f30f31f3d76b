"""The orchestrator in one look: the switch, the leader, what waits and what comes next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final

from django.db.models import Count, Max, Min, Q

from orchestrator.conf import code_version
from orchestrator.engine.types import Switch
from orchestrator.models import Decision, Lease, Run, Workflow
from orchestrator.services import control
from tradingsite.foundation.api.shapes import OneOf

LEADER_LEASE: Final = "leader"
Position = Annotated[str, OneOf(*Switch)]


@dataclass(frozen=True, kw_only=True, slots=True)
class SwitchState:
    """The one switch. `position` is how it acts now, `set_position` what the row says.

    They differ when a halt file or variable stops everything.
    """

    position: Position
    set_position: Position
    epoch: int
    reason: str
    changed_by: str
    changed_at: datetime | None
    halt_file: bool
    halt_env: bool
    entries_allowed: bool
    orders_allowed: bool
    starts_allowed: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class LeaderState:
    """Which process decides, and until when it may without renewing."""

    holder: str
    epoch: int
    expires_at: datetime
    is_held: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenRuns:
    """Runs that have not ended."""

    planned: int
    queued: int
    running: int


@dataclass(frozen=True, kw_only=True, slots=True)
class OrchestratorStatus:
    """The orchestrator in one look."""

    switch: SwitchState
    leader: LeaderState | None
    workflows: Annotated[dict[str, int], "how many workflows are in which status"]
    runs: OpenRuns
    next_run_at: datetime | None
    last_decision_at: datetime | None
    code_version: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Links:
    """Where to look next."""

    result: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """A start or stop that was carried out: was the switch turned, and which workflows (slugs) changed."""

    state: Annotated[str, OneOf("succeeded")]
    scope: Annotated[str, OneOf("all", "asset_type", "workflow")]
    target: str
    mode: Annotated[str, OneOf("start", "pause_entries", "drain", "stop")]
    position: Position
    switched: bool
    changed: list[str]
    links: Links


def switch() -> SwitchState:
    """One query. Raises Unavailable when the switch cannot be read."""
    state = control.current()
    return SwitchState(
        position=state.position.value, set_position=state.set_position.value, epoch=state.epoch, reason=state.reason,
        changed_by=state.changed_by, changed_at=state.changed_at, halt_file=state.halt_file, halt_env=state.halt_env,
        entries_allowed=state.entries_allowed, orders_allowed=state.orders_allowed, starts_allowed=state.starts_allowed,
    )  # fmt: skip


def leader(now: datetime) -> LeaderState | None:
    """The process that decides; None when there never was one."""
    lease = Lease.objects.filter(pk=LEADER_LEASE).first()
    if lease is None:
        return None
    held = bool(lease.holder) and lease.expires_at > now
    return LeaderState(holder=lease.holder, epoch=lease.epoch, expires_at=lease.expires_at, is_held=held)


def status(now: datetime) -> OrchestratorStatus:
    """Six queries."""
    counted = Workflow.objects.order_by().values_list("status").annotate(n=Count("pk"))
    due = Workflow.objects.filter(status=Workflow.Status.ACTIVE).aggregate(at=Min("next_run_at"))
    return OrchestratorStatus(
        switch=switch(),
        leader=leader(now),
        workflows=dict.fromkeys(Workflow.Status.values, 0) | dict(counted),
        runs=open_runs(),
        next_run_at=due["at"],
        last_decision_at=Decision.objects.aggregate(at=Max("last_seen_at"))["at"],
        code_version=code_version(),
    )


def open_runs() -> OpenRuns:
    counts = Run.objects.filter(status__in=Run.OPEN).aggregate(
        **{state: Count("pk", filter=Q(status=state)) for state in ("planned", "queued", "running")}
    )
    return OpenRuns(**counts)
