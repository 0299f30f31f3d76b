"""The one switch. Orders are refused unless it can be read and allows them.

Three things stop: the row in the database, the file settings.HALT_FILE, the variable TRADING_HALT=True. The last two
work while the database is dead. Whatever cannot be read counts as stopped.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, transaction
from django.utils.translation import gettext as _

from orchestrator.engine.types import Switch
from orchestrator.models import ControlSwitch, Workflow
from tradingsite.foundation import audit, statements
from tradingsite.foundation.errors import ConcurrentChange, Locked, Unavailable

_PK = 1
_TRIES = 5
_UNREADABLE = (DatabaseError, InterfaceError)


@dataclass(frozen=True, kw_only=True, slots=True)
class ControlState:
    """The switch as it acts now: `position` is STOPPED whenever a halt file or variable says so.

    `set_position` is what the row says, `epoch` is raised by every change.
    """

    position: Switch
    set_position: Switch
    epoch: int
    reason: str
    changed_by: str
    changed_at: datetime | None
    halt_file: bool
    halt_env: bool

    @property
    def entries_allowed(self) -> bool:
        """New risk may be taken."""
        return self.position is Switch.RUNNING

    @property
    def orders_allowed(self) -> bool:
        """Risk may be reduced: exits and stops. Cancels always pass and do not ask."""
        return self.position is not Switch.STOPPED

    @property
    def starts_allowed(self) -> bool:
        """A queued run may start."""
        return self.position in (Switch.RUNNING, Switch.PAUSED)


def halt_file() -> Path:
    named = getattr(settings, "HALT_FILE", None)
    return Path(named) if named is not None else Path(settings.VAR_DIR) / "HALT"


def halted_by_file() -> bool:
    """True when the file is there, and when we cannot find out."""
    try:
        os.stat(halt_file())
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True


def halted_by_env() -> bool:
    """Anything but empty or False stops: a misspelt True must not trade."""
    return bool(getattr(settings, "HALT", False)) or os.environ.get("TRADING_HALT", "").strip() not in (
        "",
        "False",
    )


def current() -> ControlState:
    """The switch as it acts now. Raises Unavailable when the database cannot be read and nothing else says stop."""
    by_file, by_env = halted_by_file(), halted_by_env()
    try:
        row = _read()
    except _UNREADABLE as e:
        if by_file or by_env:
            return _state(None, by_file, by_env)
        raise Unavailable(
            _("The switch cannot be read, so nothing may start."), code="switch-unreadable"
        ) from e
    return _state(row, by_file, by_env)


_COLUMNS = ("position", "epoch", "reason", "changed_by", "changed_at")


def _read() -> tuple[Any, ...] | None:
    # Asked several times per run and once per tick.
    found = statements.values(ControlSwitch, _COLUMNS, "WHERE id = %s", (_PK,))
    return found[0] if found else None


def _state(row: tuple[Any, ...] | None, by_file: bool, by_env: bool) -> ControlState:
    set_position, epoch, reason, changed_by, changed_at = row or (Switch.STOPPED, 0, "", "", None)
    position = Switch(set_position)
    return ControlState(
        position=Switch.STOPPED if by_file or by_env else position,
        set_position=position,
        epoch=epoch,
        reason=reason,
        changed_by=changed_by,
        changed_at=changed_at,
        halt_file=by_file,
        halt_env=by_env,
    )


def entries_allowed(workflow_id: int | None = None) -> bool:
    """Whether new risk may be taken now (by this workflow). False when it cannot be found out."""
    try:
        require_entries_allowed(workflow_id)
    except (Locked, Unavailable):
        return False
    return True


def require_entries_allowed(workflow_id: int | None = None) -> ControlState:
    """Return the switch when new risk may be taken, else raise Locked. An unreadable switch refuses."""
    state = _readable()
    if not state.entries_allowed:
        raise _locked(state)
    if workflow_id is not None:
        _require_workflow(workflow_id, entries=True)
    return state


def workflow_may_enter(workflow_id: int) -> bool:
    """Whether this workflow's own standing lets it take new risk; the switch is asked separately. Unreadable: no."""
    try:
        _require_workflow(workflow_id, entries=True)
    except Locked:
        return False
    return True


def orders_allowed(workflow_id: int | None = None) -> bool:
    """Whether risk-reducing orders may be sent now. False when it cannot be found out."""
    try:
        require_orders_allowed(workflow_id)
    except (Locked, Unavailable):
        return False
    return True


def require_orders_allowed(workflow_id: int | None = None) -> ControlState:
    """Return the switch when risk-reducing orders may be sent, else raise Locked. An unreadable switch refuses."""
    state = _readable()
    if not state.orders_allowed:
        raise _locked(state)
    if workflow_id is not None:
        _require_workflow(workflow_id, entries=False)
    return state


def require_start_allowed() -> ControlState:
    """Return the switch when a queued run may start, else raise Locked."""
    state = _readable()
    if not state.starts_allowed:
        raise _locked(state)
    return state


def _readable() -> ControlState:
    try:
        return current()
    except Unavailable as e:
        raise Locked(e.message, code=e.code) from e


def _locked(state: ControlState) -> Locked:
    return Locked(
        _("The switch is %(position)s: this is not allowed now.") % {"position": state.position.value},
        position=state.position.value, reason=state.reason, halt_file=state.halt_file, halt_env=state.halt_env,
    )  # fmt: skip


def _require_workflow(workflow_id: int, *, entries: bool) -> None:
    try:
        found = statements.values(Workflow, ("status", "entries_paused"), "WHERE id = %s", (workflow_id,))
    except _UNREADABLE as e:
        raise Locked(
            _("The workflow cannot be read, so nothing may be sent."), code="switch-unreadable"
        ) from e
    status, paused = found[0] if found else (Workflow.Status.ARCHIVED, True)
    if status in (Workflow.Status.HALTED, Workflow.Status.ARCHIVED) or (entries and paused):
        raise Locked(_("This workflow may not do this now."), code="workflow-locked", workflow=workflow_id)


def change(position: Switch, actor: audit.Actor, now: datetime, reason: str = "") -> ControlState:
    """Turn the switch; the same position again changes nothing. Every change raises the epoch and is audited.

    Raises Locked when a halt file or variable forbids anything but STOPPED (it must be removed by hand first),
    ConcurrentChange when others keep changing it.
    """
    by_file, by_env = halted_by_file(), halted_by_env()
    if position is not Switch.STOPPED and (by_file or by_env):
        what = str(halt_file()) if by_file else "TRADING_HALT"
        raise Locked(_("Remove %(what)s first: it stops everything.") % {"what": what}, code="halted-by-hand")
    for _try in range(_TRIES):
        row, _made = ControlSwitch.objects.get_or_create(pk=_PK, defaults={"changed_at": now})
        if row.position == position.value and not _made:
            return _state(tuple(getattr(row, name) for name in _COLUMNS), by_file, by_env)
        if _turn(row, position, actor, now, reason):
            return current()
    raise ConcurrentChange(_("Others keep turning the switch; look at it and decide again."))


def _turn(row: ControlSwitch, position: Switch, actor: audit.Actor, now: datetime, reason: str) -> bool:
    with transaction.atomic():
        turned = ControlSwitch.objects.filter(pk=_PK, epoch=row.epoch).update(
            position=position.value,
            epoch=row.epoch + 1,
            reason=reason[:200],
            changed_by=actor.name[:150],
            changed_at=now,
        )
        if turned != 1:
            return False
        audit.record(
            action=f"control.{position.value}", actor=actor, object_type="control", object_id=_PK, reason=reason,
            before={"position": row.position, "epoch": row.epoch},
            after={"position": position.value, "epoch": row.epoch + 1},
        )  # fmt: skip
    return True


def start(actor: audit.Actor, now: datetime, reason: str = "") -> ControlState:
    """Everything may run."""
    return change(Switch.RUNNING, actor, now, reason)


def pause_entries(actor: audit.Actor, now: datetime, reason: str = "") -> ControlState:
    """No new risk; exits, stops and analysis go on."""
    return change(Switch.PAUSED, actor, now, reason)


def drain(actor: audit.Actor, now: datetime, reason: str = "") -> ControlState:
    """Nothing new starts, running work may finish."""
    return change(Switch.DRAINING, actor, now, reason)


def stop(actor: audit.Actor, now: datetime, reason: str = "") -> ControlState:
    """No order may start any more. With a dead database the halt file is written instead, which stops just as well."""
    try:
        return change(Switch.STOPPED, actor, now, reason)
    except _UNREADABLE:
        return engage_halt_file(f"{now.isoformat()} {actor.name}: {reason}")


def engage_halt_file(note: str) -> ControlState:
    """Write the halt file. It is removed by hand (or `release_halt_file`), never by itself."""
    path = halt_file()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_text(note + "\n", encoding="utf-8")
    return _state(None, True, halted_by_env())


def release_halt_file(actor: audit.Actor, now: datetime, reason: str = "") -> ControlState:
    """Remove the halt file, audited first; the switch stays where the row says."""
    if halted_by_file():
        audit.record(
            action="control.release_halt_file", actor=actor, object_type="control", object_id=_PK, reason=reason,
            before={"halt_file": True}, after={"halt_file": False, "at": now},
        )  # fmt: skip
        halt_file().unlink(missing_ok=True)
    return current()
