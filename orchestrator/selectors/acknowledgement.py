"""Has everybody heard the switch? Processes beat with the epoch of the switch they last read.

No order needs this: each asks the switch itself before it is sent. It tells a person whether "stopped" is known or hoped.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from orchestrator.engine.types import Switch
from orchestrator.models import ProcessBeat, Run
from orchestrator.services.control import ControlState

PATIENCE: Final = timedelta(seconds=30)
_FRESH: Final = timedelta(seconds=20)
_ROLES: Final = ("loop", "feed", "workers:trading", "workers:maintenance")


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """`silent`: roles that have not confirmed. `running`: runs not ended yet, of those that a stop ends."""

    state: str  # confirmed, waiting, unconfirmed
    silent: tuple[str, ...] = ()
    running: int = 0


CONFIRMED: Final = Acknowledgement("confirmed")


def acknowledgement(state: ControlState, now: datetime) -> Acknowledgement:
    """Whether the switch as set has reached every process. One query, two while something is stopping.

    A role has confirmed when it has a living process and none of its living processes has read an older switch. A halt
    file or variable speaks for the processes of this machine only. A switch never turned has nothing to confirm.
    """
    is_local = state.halt_file or state.halt_env
    living = ProcessBeat.objects.filter(role__in=_ROLES, beat_at__gte=now - _FRESH)
    if is_local and state.set_position is Switch.RUNNING:
        others = living.exclude(host=socket.gethostname()[:64])
        elsewhere = tuple(sorted(set(others.values_list("role", flat=True))))
        return Acknowledgement("unconfirmed", elsewhere) if elsewhere else CONFIRMED
    if state.changed_at is None or state.set_position is Switch.RUNNING:
        return CONFIRMED
    beats = living.values_list("role", "info")
    heard: dict[str, bool] = {}
    for role, info in beats:
        heard[role] = heard.get(role, True) and (info.get("switch_epoch") or 0) >= state.epoch
    silent = tuple(role for role in _ROLES if not heard.get(role))
    running = (
        0 if state.set_position is Switch.PAUSED else Run.objects.filter(status=Run.Status.RUNNING).count()
    )
    if not silent and not running:
        return CONFIRMED
    # A run that goes on is not silence: only a process that does not answer is.
    is_late = bool(silent) and now - state.changed_at > PATIENCE
    return Acknowledgement("unconfirmed" if is_late else "waiting", silent, running)
