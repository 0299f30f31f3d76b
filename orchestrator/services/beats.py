"""Signs of life of long-lived processes (web, loop, feed, worker clusters), with their vital figures."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import psutil

from orchestrator.conf import code_version, conf
from orchestrator.models import ProcessBeat
from orchestrator.services import control
from tradingsite.foundation import clock
from tradingsite.foundation.errors import Unavailable


def name_of(role: str, pid: int | None = None) -> str:
    """role@host:pid, the name a process beats and holds leases under."""
    return f"{role}@{socket.gethostname()[:60]}:{os.getpid() if pid is None else pid}"


class Beater:
    """Beats for this process. Cheap to call often: it writes at most every `beat_s` seconds."""

    def __init__(self, role: str, generation: str = "") -> None:
        self.role, self.name = role, name_of(role)
        self.generation = generation or os.environ.get("SUPERVISOR_GENERATION", "")
        self._process = psutil.Process()
        self._process.cpu_percent(None)  # the first reading is always 0: take it now
        self._started_at: datetime | None = None
        self._last: datetime | None = None

    def beat(self, now: datetime, info: Mapping[str, Any] | None = None) -> bool:
        """Write a sign of life when one is due. Returns whether it did."""
        if self._last is not None and timedelta(0) <= now - self._last < timedelta(seconds=conf().beat_s):
            return False
        clock.db_now()  # a process that asks nothing else keeps its clock right by this
        self._started_at = self._started_at or now
        values = {
            "role": self.role,
            "host": socket.gethostname()[:64],
            "pid": os.getpid(),
            "generation": self.generation[:40],
            "started_at": self._started_at,
            "beat_at": now,
            "info": {**self.vital_figures(), "switch_epoch": _switch_epoch(), **(info or {})},
        }
        ProcessBeat.objects.update_or_create(name=self.name, defaults=values)
        self._last = now
        return True

    def vital_figures(self) -> dict[str, Any]:
        """Memory, threads, file descriptors, CPU (percent of one core since the last call) and the code it runs."""
        with self._process.oneshot():
            return {
                "rss_mb": round(self._process.memory_info().rss / 1e6, 1),
                "threads": self._process.num_threads(),
                "fds": self._process.num_fds(),
                "cpu_percent": self._process.cpu_percent(None),
                "code_version": code_version(),
                "clock_off_s": round(clock.off_s(), 3),
            }

    def forget(self) -> None:
        """The process leaves in order: nobody should miss it."""
        ProcessBeat.objects.filter(name=self.name).delete()


def newest_starts(now: datetime, within: timedelta) -> dict[str, datetime]:
    """By role, when the youngest process that was heard of `within` the last while began."""
    found: dict[str, datetime] = {}
    for role, at in ProcessBeat.objects.filter(beat_at__gte=now - within).values_list("role", "started_at"):
        found[role] = max(at, found.get(role, at))
    return found


def _switch_epoch() -> int | None:
    """The switch this process sees; None when it cannot be read."""
    try:
        return control.current().epoch
    except Unavailable:
        return None


def purge(before: datetime) -> int:
    """Drop processes silent since `before`. Returns how many."""
    count, _per_model = ProcessBeat.objects.filter(beat_at__lt=before).delete()
    return count


def living(role: str, now: datetime, silence_s: float = 15.0) -> int:
    """How many processes of a role beat within `silence_s`."""
    return ProcessBeat.objects.filter(role=role, beat_at__gte=now - timedelta(seconds=silence_s)).count()
