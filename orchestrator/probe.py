"""The load of this machine and of the queue, for the engine. Never blocks."""

from __future__ import annotations

from datetime import timedelta

import psutil
from django.conf import settings
from django.db.models import Count, Min
from django_q.models import OrmQ

from orchestrator.engine.types import HostLoad
from tradingsite.foundation import clock

_CACHE_S = 1.0
_SMOOTHING_S = 10.0  # one busy second is no overload


class HostProbe:
    """CPU (smoothed over ten seconds), memory, waiting tasks. Within a second it answers from memory."""

    def __init__(self) -> None:
        psutil.cpu_percent(interval=None)  # the first answer is always 0
        self._cpu: float | None = None
        self._at: float | None = None
        self._load = HostLoad()

    def read(self) -> HostLoad:
        at = clock.monotonic()
        if self._at is not None and 0 <= at - self._at < _CACHE_S:
            return self._load
        self._smooth(psutil.cpu_percent(interval=None) / 100.0, at)
        depth, oldest_s = _queue()
        self._at = at
        self._load = HostLoad(
            cpu=round(self._cpu or 0.0, 3), ram=round(psutil.virtual_memory().percent / 100.0, 3), queue_depth=depth,
            queue_oldest_s=oldest_s, workers=int(getattr(settings, "WORKERS", 1)),
        )  # fmt: skip
        return self._load

    def _smooth(self, cpu: float, at: float) -> None:
        if self._cpu is None or self._at is None:
            self._cpu = cpu
            return
        weight = min(1.0, max(0.0, at - self._at) / _SMOOTHING_S)
        self._cpu += weight * (cpu - self._cpu)


class NoProbe:
    """An idle machine: for replay, where the machine of today must not change the decisions of another day."""

    def __init__(self, load: HostLoad | None = None) -> None:
        self._load = load or HostLoad()

    def read(self) -> HostLoad:
        return self._load


def _queue() -> tuple[int, float]:
    """Waiting tasks of all lanes and the age of the oldest (s). `lock` is the arrival until a worker fetches it."""
    now = clock.now()
    waiting = OrmQ.objects.filter(lock__lte=now + timedelta(seconds=1)).aggregate(
        depth=Count("pk"), oldest=Min("lock")
    )
    oldest = waiting["oldest"]
    return int(waiting["depth"]), 0.0 if oldest is None else max(0.0, (now - oldest).total_seconds())
