"""`manage.py loop`: the decision loop. Any number may run; one leads, the others stand by."""

from __future__ import annotations

import logging
import signal
import threading
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from django.db import DatabaseError, InterfaceError, connection

from orchestrator.conf import conf
from orchestrator.health import checks
from orchestrator.health.findings import Finding
from orchestrator.health.monitor import Monitor
from orchestrator.loop import Loop, TickReport
from orchestrator.probe import HostProbe
from orchestrator.process.messenger import Messenger
from orchestrator.process.pulse import Pulse
from orchestrator.services import beats
from tradingsite.foundation import clock
from tradingsite.foundation.commands import EXIT_OK, JsonCommand
from tradingsite.foundation.errors import Unavailable

log = logging.getLogger(__name__)

SHORTEST_WAIT_S = 0.02


class Command(JsonCommand):
    help = "Decide and plan every second until SIGTERM; a current tick is finished first."
    requires_system_checks: list[str] = []  # `run` made them; they would load every page into this process

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--ticks", type=int, default=0, help="stop after so many (0: never)")

    def run(self, options: dict[str, Any]) -> int:
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        beater = beats.Beater("loop")
        loop = Loop(holder=beater.name, probe=HostProbe(), monitor=Monitor(is_starting=True).run)
        checks.register("evaluation", lambda now: [
            Finding(component="workflow", subject=t.slug, code=t.code, severity="warning", detail={"error": t.error})
            for t in loop.troubles()
        ])  # fmt: skip
        messenger = Messenger(lambda: loop.leads)
        messenger.start()
        ticks = self._serve(loop, beater, stopping, options["ticks"], messenger.ticked)
        messenger.stop()
        self.emit({"ok": True, "ticks": ticks}, text=f"{ticks} ticks")
        return EXIT_OK

    def _serve(
        self,
        loop: Loop,
        beater: beats.Beater,
        stopping: threading.Event,
        limit: int,
        ticked: Callable[[], None] = lambda: None,
    ) -> int:
        """Ticks start every `tick_s` by the monotonic clock; one that takes longer delays the next, none piles up."""
        tick_s, ticks = conf().tick_s, 0
        due, pulse = clock.monotonic(), Pulse()
        while not stopping.is_set() and (not limit or ticks < limit):
            pulse.beat()
            report = self._tick(loop, beater)
            ticks += 1
            if report is not None:
                ticked()
            now = clock.monotonic()
            if (
                now >= due
            ):  # a tick for a run that was due in between moves nothing: else they would add up to a long sleep
                due = max(due + tick_s, now)
            stopping.wait(max(0.0, min(due - now, _until_due(report))))
        try:
            loop.resign()
            beater.forget()
        except (DatabaseError, InterfaceError) as e:
            log.warning("could not give the lease back: %s", e)
        return ticks

    def _tick(self, loop: Loop, beater: beats.Beater) -> TickReport | None:
        """A database that is down must not end the loop: it stands by until it answers again."""
        try:
            report = loop.tick(clock.now())
            beater.beat(
                clock.now(),
                {
                    "leader": report.leader,
                    "tick_ms": round(report.seconds * 1000, 1),
                    "evaluated": report.evaluated,
                },
            )
        except (DatabaseError, InterfaceError, Unavailable) as e:
            log.error("no tick: %s", e)
            connection.close()
            return None
        return report


def _until_due(report: TickReport | None) -> float:
    """Seconds until the next planned run, so that it starts when it is due and not at the next full tick.

    Never less than the last tick took: thousands of workflows must not keep the loop busy all the time.
    """
    if report is None or report.next_due_at is None:
        return conf().tick_s
    return max((report.next_due_at - clock.now()).total_seconds(), report.seconds, SHORTEST_WAIT_S)
