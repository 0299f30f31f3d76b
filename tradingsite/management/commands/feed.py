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
from assets.trading.services import (
    equity,
    flattening,
    limits,
    matching,
    orders,
    protective_stops,
    reconciliation,
    risk_history,
    stopping,
)
from orchestrator.process import memory
from orchestrator.process.aside import Aside
from orchestrator.process.pulse import Pulse
from orchestrator.services import beats, leases
from tradingsite.foundation import clock
from tradingsite.foundation.errors import Unavailable

logger = logging.getLogger(__name__)

TICK_S = 1.0
LEASE_S = 10.0
RENEW_S = 2.5
HANGS_AFTER_S = 60.0  # a round that takes longer than this gives the lease up
STOP_EVERY_S = 1.0
RECOVER_EVERY_S = 5.0
RECONCILE_EVERY_S = 10.0
EQUITY_EVERY = timedelta(minutes=1)
MUCH_HISTORY = 200  # bars in one tick; an ordinary one brings a bar or two of each instrument


class Command(BaseCommand):
    help = "Bring market data in and match paper orders until SIGTERM. A second instance stands by."
    requires_system_checks: list[str] = []  # `run` made them; they would load every page into this process

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for sig in (signal.SIGTERM, signal.SIGINT):
            signal.signal(sig, lambda number, frame: stop.set())
        Pipeline().serve(stop)


class Pipeline:
    """Feed, matching and equity in one second-by-second beat."""

    def __init__(self) -> None:
        self.beater = beats.Beater("feed")
        self.holder = self.beater.name
        self.feed = feeds.get(settings.TRADING_FEED)
        self.epoch: int | None = None
        self.next_equity_at = clock.now()
        self.had_much = False
        self.round_began = clock.monotonic()

    def serve(self, stop: threading.Event) -> None:
        """Beat until `stop`. What a stop demands, and the lease, wait for no venue: they have threads of their own."""
        asides = (
            Aside("keeper of the stop", STOP_EVERY_S, lambda: stopping.keep_the_stop(clock.now())),
            Aside("holder of the lease", RENEW_S, self._hold),
            Aside("keeper of the stops", STOP_EVERY_S, self._keep_stops),
            Aside("recoverer", RECOVER_EVERY_S, self._recover),
            Aside("reconciler", RECONCILE_EVERY_S, self._reconcile),
        )
        for aside in asides:
            aside.start()
        pulse, due = Pulse(), clock.monotonic()
        while not stop.is_set():
            pulse.beat()
            self.tick()
            due = max(due + TICK_S, clock.monotonic())
            stop.wait(due - clock.monotonic())
        for aside in asides:
            aside.stop()
        self.leave()

    def _hold(self) -> None:
        """Keep the lease while a round is under way; one that hangs loses it, and a standby takes over."""
        if self.epoch is not None and clock.monotonic() - self.round_began < HANGS_AFTER_S:
            leases.renew("feed", self.holder, self.epoch, LEASE_S)

    def _keep_stops(self) -> None:
        """An exit may wait for a venue: bars and the other accounts' fills go on meanwhile."""
        if self.epoch is not None:
            protective_stops.keep(clock.now())
            flattening.work(clock.now())
            risk_history.note(clock.now())

    def _recover(self) -> None:
        """Orders in doubt, cancels under way and orders past their time, at venues: the beat waits for none of them."""
        if self.epoch is not None:
            orders.recover(clock.now(), paper=False)

    def _reconcile(self) -> None:
        """Venues' books against ours, on a thread of its own: a venue that is silent holds up nobody else."""
        if self.epoch is not None:
            reconciliation.reconcile_all(clock.now())

    def tick(self) -> None:
        """One beat. A database that is away postpones it; everything else that goes wrong is a bug and shows."""
        self.round_began = clock.monotonic()
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
        report = pump.pump(self.feed, now)
        self._tidy(report)
        if not self._is_leader():  # the venue kept us waiting for so long that somebody else leads
            return
        # Nothing that is to be taken back may be filled first. What rests at a venue has threads of its own.
        stopping.keep_the_stop(now, paper=True)
        orders.recover(now, paper=True)
        matching.match(now)
        if now >= self.next_equity_at:
            equity.snapshot(now)
            limits.apply_due(now)
            self.next_equity_at = now + EQUITY_EVERY
        self.beater.beat(
            now, {"feed": settings.TRADING_FEED, "batches": report.batches, "errors": len(report.errors)}
        )

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
        if self.epoch is not None:
            reconciliation.begin()  # whoever led before may have seen something nobody else knows
        return self.epoch is not None

    def leave(self) -> None:
        """Give the lease back, so that a follower need not wait."""
        try:
            if self.epoch is not None:
                leases.release("feed", self.holder, self.epoch)
            self.beater.forget()
        except (DatabaseError, InterfaceError) as error:
            logger.warning("The feed leaves without saying so: %s", error)
