"""The canary: a tiny task through the real queue shows that workers execute, not just that they exist."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import datetime

from django.db import DatabaseError, InterfaceError, close_old_connections
from django_q.tasks import async_task

from orchestrator.health import canary, requests
from orchestrator.process.pulse import Pulse
from orchestrator.services import beats
from tradingsite.foundation import clock

logger = logging.getLogger(__name__)

TASK = "orchestrator.tasks.canary"


@dataclass(kw_only=True)
class LaneWatch:
    """Housekeeping of one lane's main process: heartbeat, canary, restart requests. Times in seconds.

    The canary counts as late only while at least one worker should be free: workers that are all busy with long runs
    are not stuck, and the runs have deadlines of their own.
    """

    lane: str
    workers: int
    every_s: float
    patience_s: float
    started_at: datetime = field(default_factory=clock.now)
    _beater: beats.Beater = field(init=False)
    _pulse: Pulse = field(default_factory=Pulse)
    _sent_at: float | None = None
    _waiting_since: float | None = None
    _token: str = ""
    _reason: str = ""

    def __post_init__(self) -> None:
        self._beater = beats.Beater(f"workers:{self.lane}")

    def every_second(self) -> None:
        """Never raises for a database that is away: the cluster itself recovers from that."""
        self._pulse.beat()
        try:
            close_old_connections()
            self._beater.beat(clock.now(), {"lane": self.lane, "workers": self.workers})
            self._canary()
            if requests.restart_requested(self.lane, since=self.started_at):
                self._reason = "restart requested by the health monitor"
        except (DatabaseError, InterfaceError) as error:
            logger.warning("Housekeeping of lane %s postponed: %s", self.lane, error)
            self._waiting_since = None  # no database, no canary: not the cluster's fault

    def is_stuck(self) -> str:
        """Why this cluster must be started anew, or ""."""
        if self._waiting_since is not None:
            waited = clock.monotonic() - self._waiting_since
            if waited > self.patience_s:
                return f"canary not executed for {waited:.0f} s"
        return self._reason

    def leave(self) -> None:
        """An orderly end: nobody should miss us."""
        try:
            self._beater.forget()
        except (DatabaseError, InterfaceError) as error:
            logger.warning("Lane %s leaves without saying so: %s", self.lane, error)

    def _canary(self) -> None:
        if not self._token:
            if self._sent_at is None or clock.monotonic() - self._sent_at >= self.every_s:
                self._send()
            return
        if canary.arrived(self.lane, self._token):
            self._token, self._waiting_since = "", None
        elif canary.busy_workers(self.lane) >= self.workers:
            self._waiting_since = None
        elif self._waiting_since is None:
            self._waiting_since = clock.monotonic()

    def _send(self) -> None:
        token = canary.new_token(self.lane, clock.now())
        async_task(TASK, token, cluster=self.lane, timeout=20, task_name="canary")
        self._token = token
        self._sent_at = self._waiting_since = clock.monotonic()
