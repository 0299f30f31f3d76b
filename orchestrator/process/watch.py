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
_MOST_COPIES = 8


@dataclass(kw_only=True)
class LaneWatch:
    """Housekeeping of one lane's main process: heartbeat, canary, restart requests. Times in seconds.

    The canary counts as late only while nothing moves: workers that are all busy with long runs are not stuck (runs have
    deadlines of their own), and neither is a queue that is long but gets shorter. Where several hosts serve the lane any
    of them may take it; it is sent again, in growing numbers, until a worker of this host has executed one.
    """

    lane: str
    workers: int
    every_s: float
    patience_s: float
    started_at: datetime = field(default_factory=clock.now)
    _beater: beats.Beater = field(init=False)
    _pulse: Pulse = field(default_factory=Pulse)
    _sent_at: float | None = None
    _still_since: float | None = None  # since when nothing moved although a canary is out
    _token: str = ""
    _seen_before: str = ""  # what a worker of this host had executed last when the canary was sent
    _copies: int = 1
    _ticket: int = 0
    _ahead: int = 0
    _reason: str = ""

    def __post_init__(self) -> None:
        self._beater = beats.Beater(f"workers:{self.lane}")

    def every_second(self) -> None:
        """Never raises for a database that is away: the cluster itself recovers from that."""
        self._pulse.beat()
        try:
            close_old_connections()
            self._canary()
            info = {"lane": self.lane, "workers": self.workers, "unanswered_s": round(self._still_s(), 1)}
            self._beater.beat(clock.now(), info)
            if requests.restart_requested(self.lane, since=self.started_at):
                self._reason = "restart requested by the health monitor"
        except (DatabaseError, InterfaceError) as error:
            logger.warning("Housekeeping of lane %s postponed: %s", self.lane, error)
            self._moved()  # no database, no canary: not the cluster's fault

    def is_stuck(self) -> str:
        """Why this cluster must be started anew, or ""."""
        still_s = self._still_s()
        return f"canary not executed for {still_s:.0f} s" if still_s > self.patience_s else self._reason

    def leave(self) -> None:
        """An orderly end: nobody should miss us."""
        try:
            self._beater.forget()
        except (DatabaseError, InterfaceError) as error:
            logger.warning("Lane %s leaves without saying so: %s", self.lane, error)

    def _canary(self) -> None:
        if not self._token:
            if self._sent_at is None or clock.monotonic() - self._sent_at >= self.every_s:
                self._seen_before, self._copies = canary.newest_here(self.lane), 1
                self._send()
                self._moved()
        elif canary.newest_here(self.lane) != self._seen_before:
            self._token, self._still_since = "", None
        elif canary.busy_workers(self.lane) >= self.workers:
            self._moved()
        else:
            self._look_at_the_queue()

    def _look_at_the_queue(self) -> None:
        ahead = canary.waiting(self.lane, self._ticket)
        if not ahead:
            # Its bell was lost, which alone is no reason to start anew, or another host was quicker.
            if canary.taken_elsewhere(self.lane, self._token):
                self._copies = min(self._copies * 2, _MOST_COPIES)
            self._send()
            return
        if ahead < self._ahead:
            self._moved()
        self._ahead = ahead

    def _send(self) -> None:
        token = canary.new_token(self.lane, clock.now())
        for _copy in range(self._copies):
            async_task(TASK, token, cluster=self.lane, timeout=20, task_name="canary")
        self._token, self._sent_at = token, clock.monotonic()
        self._ticket = canary.newest_ticket(self.lane)
        self._ahead = canary.waiting(self.lane, self._ticket)

    def _moved(self) -> None:
        self._still_since = clock.monotonic()

    def _still_s(self) -> float:
        return 0.0 if self._still_since is None or not self._token else clock.monotonic() - self._still_since
