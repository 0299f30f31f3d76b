"""Starting and stopping everything, one asset type or one workflow: what the API's start and stop do.

All of it is idempotent: what stands as wanted already is left alone, and every change is audited where it happens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.utils.translation import gettext as _

from orchestrator.engine.types import Switch
from orchestrator.models import Workflow
from orchestrator.services import control, exits, workflows
from tradingsite.foundation import audit
from tradingsite.foundation.errors import Conflict, Invalid, NotFound

_S = Workflow.Status


class Scope(StrEnum):
    ALL = "all"
    ASSET_TYPE = "asset_type"
    WORKFLOW = "workflow"


class Mode(StrEnum):
    """How to stop. PAUSE_ENTRIES: no new risk, exits go on. DRAIN: nothing new starts. STOP: nothing may act. FLATTEN: no new
    risk, every position is closed, then STOP.
    """

    PAUSE_ENTRIES = "pause_entries"
    DRAIN = "drain"
    STOP = "stop"
    FLATTEN = "flatten"


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """What a command changed: the switch, and the slugs of the workflows that stand differently now."""

    position: Switch
    switched: bool
    changed: tuple[str, ...]
    ids: tuple[int, ...]


def stop(
    scope: Scope, target: str, mode: Mode, *, actor: audit.Actor, now: datetime, reason: str = ""
) -> Done:
    """Stop what `scope` and `target` (an asset type or a slug, "" for all) name. Raises NotFound, Conflict."""
    if mode is Mode.FLATTEN:
        return _flatten(scope, target, actor, now, reason)
    if scope is Scope.ALL:
        turn = {
            Mode.PAUSE_ENTRIES: control.pause_entries,
            Mode.DRAIN: control.drain,
            Mode.STOP: control.stop,
        }[mode]
        return _switched(lambda: turn(actor, now, reason))

    def apply(row: Workflow) -> None:
        if mode is Mode.PAUSE_ENTRIES:
            workflows.set_entries_paused(row.pk, True, actor, now, reason)
        elif mode is Mode.DRAIN and row.status == _S.ACTIVE:
            workflows.pause(row.pk, actor, now, reason)
        elif mode is Mode.STOP and row.status in (_S.ACTIVE, _S.PAUSED):
            workflows.halt(row.pk, actor, now, reason or "stopped")

    return _each(_named(scope, target), apply)


def _flatten(scope: Scope, target: str, actor: audit.Actor, now: datetime, reason: str) -> Done:
    if scope is Scope.WORKFLOW:
        raise Conflict(_("Positions belong to an account, not to a workflow: flatten all or an asset type."))
    before = control.current()
    if scope is Scope.ALL:
        exits.flatten("", actor=actor, now=now, reason=reason)
        after = control.current()
        return Done(position=after.position, switched=after.epoch != before.epoch, changed=(), ids=())
    rows = _named(scope, target)
    exits.flatten(target, actor=actor, now=now, reason=reason)

    def pause(row: Workflow) -> None:
        workflows.set_entries_paused(row.pk, True, actor, now, reason)

    return _each(rows, pause)


def start(scope: Scope, target: str, *, actor: audit.Actor, now: datetime, reason: str = "") -> Done:
    """Let what `scope` and `target` name work again. Raises NotFound, Conflict, Locked; Invalid when the switch was
    stopped and no reason is given.
    """
    if scope is Scope.ALL:
        state = control.current()
        if state.set_position is Switch.STOPPED and state.epoch and not reason:
            detail = _("Starting again after a stop needs a reason; it goes into the audit log.")
            raise Invalid(detail, errors=[{"pointer": "#/reason", "code": "required", "detail": detail}])
        return _switched(lambda: control.start(actor, now, reason))

    def apply(row: Workflow) -> None:
        if row.status == _S.DRAFT:
            workflows.activate(row.pk, actor, now, reason)
        elif row.status != _S.ACTIVE:
            workflows.resume(row.pk, actor, now, reason)
        workflows.set_entries_paused(row.pk, False, actor, now, reason)

    return _each(_named(scope, target), apply)


def _switched(turn: Callable[[], control.ControlState]) -> Done:
    before = control.current()
    after = turn()
    return Done(position=after.position, switched=after.epoch != before.epoch, changed=(), ids=())


def _each(rows: Sequence[Workflow], apply: Callable[[Workflow], None]) -> Done:
    """One after the other, each in its own transaction: what could be stopped stays stopped when a later one fails."""
    for row in rows:
        apply(row)
    after = {row.pk: row for row in Workflow.objects.filter(pk__in=[row.pk for row in rows])}
    moved = tuple(row.slug for row in rows if _standing(row) != _standing(after[row.pk]))
    position = control.current().position
    return Done(position=position, switched=False, changed=moved, ids=tuple(row.pk for row in rows))


def _standing(row: Workflow) -> tuple[str, bool]:
    return row.status, row.entries_paused


def _named(scope: Scope, target: str) -> Sequence[Workflow]:
    if scope is Scope.WORKFLOW:
        row = workflows.by_slug(target)
        if row.status == _S.ARCHIVED:
            raise Conflict(_("%(name)s is archived.") % {"name": row.name})
        return [row]
    rows = list(Workflow.objects.filter(asset_type=target).exclude(status=_S.ARCHIVED)) if target else []
    if not rows:
        raise NotFound(_("There is no workflow of the asset type %(name)s.") % {"name": target})
    return rows
