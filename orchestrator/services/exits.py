"""The third way to stop: get out of everything first. What there is to get out of only the app above knows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from django.utils.translation import gettext as _

from orchestrator.services import control
from tradingsite.foundation.audit import Actor
from tradingsite.foundation.errors import Conflict

Flatten = Callable[[str, Actor, datetime, str], int]
"""(asset type or "" for all, who, when, why) -> how many positions are to be closed."""

_flatten: Flatten | None = None


def register_flatten(action: Flatten) -> None:
    """Called once while apps load."""
    global _flatten
    _flatten = action


def flatten(asset_type: str, *, actor: Actor, now: datetime, reason: str = "") -> int:
    """Close every position (of an asset type): entries are paused at once; all of it is stopped when all are closed.

    Returns how many positions are to be closed. Raises Conflict while trading is stopped (then no exit may leave, either),
    Locked when the switch is held.
    """
    if _flatten is None:
        raise Conflict(_("Nothing here can be flattened."))
    state = control.current()
    if not state.orders_allowed:
        raise Conflict(
            _("Trading is stopped: no exit can be sent. Start it with entries paused first."), code="stopped"
        )
    if not asset_type and state.entries_allowed:
        control.pause_entries(actor, now, reason or "flatten")
    return _flatten(asset_type, actor, now, reason)
