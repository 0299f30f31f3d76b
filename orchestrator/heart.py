"""The heartbeat of a run. A worker that cannot show signs of life must not go on: somebody else may have its run."""

from __future__ import annotations

import logging
import os
import threading
from types import TracebackType
from typing import Protocol

from django.db import DatabaseError, InterfaceError, connection

from orchestrator.conf import conf
from orchestrator.services import runs
from tradingsite.foundation import clock

log = logging.getLogger(__name__)

EXIT_FENCED = 70  # what a worker exits with that fenced itself off


class Heart(Protocol):
    """Started when a run is claimed, stopped right before it is closed."""

    def start(self, run_id: int, epoch: int) -> None: ...

    def stop(self) -> None: ...


class NoHeart:
    """For inline execution (replay, tests, commands): steps renew the claim themselves, and losing it raises."""

    def start(self, run_id: int, epoch: int) -> None:
        return

    def stop(self) -> None:
        return


class ThreadHeart:
    """Beats from a thread with its own database connection, also while a step is stuck in a library.

    It ends the process at once (no clean-up, no commit) when the run was taken away or is past its deadline, and when
    the lease is about to end without a beat having got through.
    """

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, run_id: int, epoch: int) -> None:
        self._stopping.clear()
        self._thread = threading.Thread(
            target=self._beat, args=(run_id, epoch), name=f"heart-{run_id}", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """No exit happens after this; a beat only if the thread hangs in the database right now."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=conf().heartbeat_s)

    def _beat(self, run_id: int, epoch: int) -> None:
        c = conf()
        last = clock.monotonic()
        # One beat must fit between giving up and the end of the lease.
        patience_s = c.run_lease_s - c.heartbeat_s
        try:
            while not self._stopping.wait(c.heartbeat_s):
                try:
                    if not runs.heartbeat(run_id, epoch):
                        self._exit(f"run {run_id} was taken away or is past its deadline")
                    last = clock.monotonic()
                except (DatabaseError, InterfaceError) as e:
                    log.warning("run %s: no heartbeat: %s", run_id, e)
                    connection.close()
                    if clock.monotonic() - last > patience_s:
                        self._exit(f"run {run_id} showed no sign of life for {patience_s:.0f} s")
        finally:
            connection.close()

    def _exit(self, why: str) -> None:
        if self._stopping.is_set():
            return  # it is being closed right now: that is why it is not running any more
        log.critical("%s: this worker fences itself off", why)
        os._exit(EXIT_FENCED)


class heart_of:
    """`with heart_of(heart, run):` beats inside the block."""

    def __init__(self, heart: Heart, run_id: int, epoch: int) -> None:
        self._heart, self._run_id, self._epoch = heart, run_id, epoch

    def __enter__(self) -> Heart:
        self._heart.start(self._run_id, self._epoch)
        return self._heart

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._heart.stop()
