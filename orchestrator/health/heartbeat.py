"""The dead man's heartbeat: while all works, an outside monitor is asked every minute; it notices when that stops.

It proves what it says: the loop that leads ticks, and every other part was heard of within the limits of the monitor.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings

from orchestrator.health.findings import REQUIRED_ROLES, Limits
from orchestrator.models import ProcessBeat
from tradingsite.foundation.errors import DomainError
from tradingsite.foundation.notify import guard

logger = logging.getLogger(__name__)

EVERY_S: Final = 60.0
_LIMITS: Final = Limits()


def silent(now: datetime) -> tuple[str, ...]:
    """The parts that are not alive: no beat within the limit, or workers that do not answer their canary."""
    heard = ProcessBeat.objects.filter(beat_at__gte=now - timedelta(seconds=_LIMITS.beat_late_s))
    alive = {
        role
        for role, info in heard.values_list("role", "info")
        if float((info or {}).get("unanswered_s") or 0.0) <= _LIMITS.canary_late_s
    }
    return tuple(role for role in REQUIRED_ROLES if role not in alive)


class Heartbeat:
    """Call `beat` every minute in the process of the loop."""

    def __init__(self, ask: Callable[[str], None] = guard.ping) -> None:
        self._ask = ask
        self._said = ""

    def beat(self, now: datetime, *, is_ticking: bool) -> bool:
        """Ask the monitor when everything is alive. Returns whether it was told. Never raises for the monitor's sake."""
        url = settings.HEARTBEAT_URL
        if not url:
            return False
        missing = silent(now) if is_ticking else ("loop",)
        if missing:
            self._say("no heartbeat: silent are " + ", ".join(missing))
            return False
        try:
            self._ask(url)
        except DomainError as error:
            self._say(f"the heartbeat's monitor was not reached: {error.message}")
            return False
        self._say("")
        return True

    def _say(self, text: str) -> None:
        """Once per change, not once a minute."""
        if text and text != self._said:
            logger.warning("%s", text)
        self._said = text
