"""The canary: a tiny task through the real queue shows that workers execute, not just that they exist."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import datetime

from django.db import DatabaseError, InterfaceError, close_old_connections
from django_q.tasks import async_task

from orchestrator.health import canary, requests
from orchestrator.services import beats
from tradingsite.foundation import clock

logger = logging.getLogger(__name__)

CANARY_EVERY_S = 10.0
CANARY_PATIENCE_S = 25.0


@dataclass(kw_only=True)
class LaneWatch:
    """Housekeeping of one lane's main process: heartbeat, canary, restart requests.

    The canary counts as late only while at least one worker should be free: workers that are all busy with long runs
    are not stuck, and the runs have deadlines of their own.
    """

    lane: str
    workers: int
    worker_host: str
    every_s: float = CANARY_EVERY_S
    patience_s: float = CANARY_PATIENCE_S
    started_at: datetime = field(default_factory=clock.now)
    beater: beats.Beater = field(init=False)
    _sent_at: float = field(default_factory=clock.monotonic)
    _waiting_since: float | None = None
    _token: str = ""
    _reason: str = ""

    def __post_init__(self) -> None:
        self.beater = beats.Beater(f"workers:{self.lane}")

    def every_second(self) -> None:
        """Never raises for a database that is away: the cluster itself recovers from that."""
        try:
            close_old_connections()
            self._beat()
            self._canary()
            if requests.restart_requested(self.lane, since=self.started_at):
                self._reason = "restart requested by the health monitor"
        except (DatabaseError, InterfaceError) as error:
            logger.warning("Housekeeping of lane %s postponed: %s", self.lane, error)
            self._waiting_since = None  # no database, no canary: not the cluster's fault

    def is_stuck(self) -> str:
        if self._waiting_since is not None:
            waited = clock.monotonic() - self._waiting_since
            if waited > self.patience_s:
                return f"canary not executed for {waited:.0f} s"
        return self._reason

    def _beat(self) -> None:
        self.beater.beat(clock.now(), {"lane": self.lane, "workers": self.workers})

    def _canary(self) -> None:
        if self._token and canary.arrived(self.lane, self._token):
            self._token, self._waiting_since = "", None
        busy = canary.busy_workers(self.lane, self.worker_host) >= self.workers
        if busy:
            self._waiting_since = None
        elif self._token and self._waiting_since is None:
            self._waiting_since = clock.monotonic()
        if not self._token and clock.monotonic() - self._sent_at >= self.every_s:
            self._token = canary.new_token(self.lane, clock.now())
            self._sent_at = clock.monotonic()
            async_task("orchestrator.tasks.canary", self.lane, self._token, cluster=self.lane, timeout=20)
