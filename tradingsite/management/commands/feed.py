"""`manage.py feed`: market data in, paper orders matched, equity noted. One leader at a time."""

from __future__ import annotations

import logging
import signal
import threading
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import DatabaseError, InterfaceError, close_old_connections

from assets.markets import feeds, pump
from assets.trading.services import equity, matching, orders
from orchestrator.engine.types import Switch
from orchestrator.process import memory
from orchestrator.process.pulse import Pulse
from orchestrator.services import beats, control, leases
from tradingsite.foundation import audit, clock
from tradingsite.foundation.errors import Unavailable

logger = logging.getLogger(__name__)

TICK_S = 1.0
LEASE_S = 10.0
EQUITY_EVERY = timedelta(minutes=1)
MUCH_HISTORY = 200  # bars in one tick; an ordinary one brings a bar or two of each instrument


class Command(BaseCommand):
    help = "Bring market data in and match paper orders until SIGTERM. A second instance stands by."
    requires_system_checks: list[str] = []  # `run` made them; they would load every page into this process

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for sig in (signal.SIGTERM, signal.SIGINT):
            signal.signal(sig, lambda number, frame: stop.set())
        pipeline = Pipeline()
        due = clock.monotonic()
        pulse = Pulse()
        while not stop.is_set():
            pulse.beat()
            pipeline.tick()
            due = max(due + TICK_S, clock.monotonic())
            stop.wait(due - clock.monotonic())
        pipeline.leave()


class Pipeline:
    """Feed, matching and equity in one second-by-second beat."""

    def __init__(self) -> None:
        self.beater = beats.Beater("feed")
        self.holder = self.beater.name
        self.feed = feeds.get(settings.TRADING_FEED)
        self.epoch: int | None = None
        self.next_equity_at = clock.now()
        self.had_much = False

    def tick(self) -> None:
        """One beat. A database that is away postpones it; everything else that goes wrong is a bug and shows."""
        try:
            close_old_connections()
            self._work(clock.now())
        except (DatabaseError, InterfaceError, Unavailable) as error:
            self.epoch = None
            # What it had in hand was not stored: a new one asks the database where to go on.
            self.feed = feeds.get(settings.TRADING_FEED)
            logger.warning("Feed postponed: %s", error)

    def _work(self, now: datetime) -> None:
        if not self._is_leader():
            self.beater.beat(now, {"standby": True})
            return
        self._keep_the_stop(now)
        report = pump.pump(self.feed, now)
        self._tidy(report)
        self._keep_the_stop(now)  # the venue may have kept us waiting
        orders.recover(now)
        matching.match(now)
        if now >= self.next_equity_at:
            equity.snapshot(now)
            self.next_equity_at = now + EQUITY_EVERY
        self.beater.beat(
            now, {"feed": settings.TRADING_FEED, "batches": report.batches, "errors": len(report.errors)}
        )

    def _keep_the_stop(self, now: datetime) -> None:
        """After a stop what rests at a venue must not open risk any more; exits stay."""
        if control.current().position is Switch.STOPPED:
            orders.cancel_entries(actor=audit.system("kill switch"), now=now, reason="stopped")

    def _tidy(self, report: pump.PumpReport) -> None:
        """The first start brings years of history at once; afterwards a tenth of that memory is enough."""
        much = report.stored.inserted > MUCH_HISTORY
        if self.had_much and not much:
            memory.give_back()
        self.had_much = much

    def _is_leader(self) -> bool:
        if self.epoch is not None and leases.renew("feed", self.holder, self.epoch, LEASE_S):
            return True
        self.epoch = leases.acquire("feed", self.holder, LEASE_S)
        return self.epoch is not None

    def leave(self) -> None:
        """Give the lease back, so that a follower need not wait."""
        try:
            if self.epoch is not None:
                leases.release("feed", self.holder, self.epoch)
            self.beater.forget()
        except (DatabaseError, InterfaceError) as error:
            logger.warning("The feed leaves without saying so: %s", error)
