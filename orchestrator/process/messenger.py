"""Alerts and the heartbeat leave from the process that leads the loop, on threads of their own: trading waits for neither."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from orchestrator.health.heartbeat import EVERY_S, Heartbeat
from orchestrator.process.aside import Aside
from tradingsite.foundation import clock
from tradingsite.foundation.notify.deliver import Deliverer

DELIVER_EVERY_S: Final = 2.0
HANGS_AFTER_S: Final = 30.0  # a loop without a tick for so long is not alive


class Messenger:
    """`leads` says whether this process is the leader. A leader whose tick hangs still delivers: that is news, too."""

    def __init__(self, leads: Callable[[], bool]) -> None:
        self._leads = leads
        self._ticked = clock.monotonic()
        self._deliverer, self._heartbeat = Deliverer(), Heartbeat()
        self._asides = (
            Aside("messenger", DELIVER_EVERY_S, self._deliver),
            Aside("heartbeat", EVERY_S, self._beat),
        )

    def start(self) -> None:
        for aside in self._asides:
            aside.start()

    def ticked(self) -> None:
        """The loop has finished a tick."""
        self._ticked = clock.monotonic()

    def stop(self) -> None:
        for aside in self._asides:
            aside.stop(1.0)

    def _deliver(self) -> None:
        if self._leads():
            self._deliverer.work(clock.now())

    def _beat(self) -> None:
        if self._leads():
            is_ticking = clock.monotonic() - self._ticked < HANGS_AFTER_S
            self._heartbeat.beat(clock.now(), is_ticking=is_ticking)
