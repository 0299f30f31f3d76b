"""django-q2's cluster, hardened where experiments showed that it hangs, leaves orphans or loses results.

* SIGTERM to the whole group used to kill the sentinel while the main process waited for it for ever: here only the
  main process reacts, the others ignore SIGTERM.
* Killing the main process or the sentinel used to leave workers that went on executing: here every process asks the
  kernel to die with its parent, and the main process leaves when the sentinel is gone or silent.
* A worker killed while it holds the lock of the task queue or of its timer stops the cluster while every process
  looks alive: `watch.py` notices by a canary task, and the main process exits so that the supervisor starts anew.
* A worker that is stopped for running too long gets two seconds to flush its result.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing.sharedctypes import Synchronized
from typing import Any

from django_q import cluster as upstream
from django_q.signals import post_spawn

from orchestrator.process.lifeline import die_with_parent, tied
from tradingsite.foundation import clock

logger = logging.getLogger(__name__)

EXIT_STUCK = 70
FLUSH_S = 2
SILENT_SENTINEL_S = 20.0
STOP_GRACE_S = 25.0

# Created before the fork, so that main process and sentinel share it: monotonic time of the last guard cycle.
_sentinel_beat: Synchronized[float] = multiprocessing.Value("d", 0.0)


class HardenedSentinel(upstream.Sentinel):  # type: ignore[misc] # django_q has no types
    """The sentinel that ignores a group SIGTERM, dies with the main process and shows that it is alive."""

    def start(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        die_with_parent()
        super().start()

    def spawn_process(self, target: Any, *args: Any) -> Any:
        process = super().spawn_process(target, *args)
        process.terminate = process.kill  # children inherit the ignored SIGTERM
        return process

    def reincarnate(self, process: Any) -> None:
        if process in self.pool and process.timer.value == 0:
            process.join(FLUSH_S)
        super().reincarnate(process)

    def status(self) -> str:
        """Called in every guard cycle and while stopping: the place to show a sign of life."""
        _sentinel_beat.value = clock.monotonic()
        word: str = super().status()
        return word


def _die_with_sentinel(**kwargs: Any) -> None:
    die_with_parent()


def install() -> None:
    """Put the hardened parts in place of upstream's."""
    upstream.Sentinel = HardenedSentinel
    upstream.pusher = tied(upstream.pusher)
    upstream.monitor = tied(upstream.monitor)
    post_spawn.connect(_die_with_sentinel, dispatch_uid="orchestrator.lifeline")


def serve(*, every_second: Callable[[], None], is_stuck: Callable[[], str]) -> int:
    """Run the cluster until SIGTERM or SIGINT; returns the exit code.

    `every_second` does the process's own housekeeping; `is_stuck` returns a reason to give up and be restarted, or "".
    """
    install()
    cluster = upstream.Cluster()
    stopping = threading.Event()

    def stop(signum: int, frame: Any) -> None:
        if not stopping.is_set():
            stopping.set()
            threading.Thread(target=_leave_at_the_latest, daemon=True).start()
            cluster.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    cluster.start()
    sentinel = cluster.sentinel
    while sentinel.is_alive():
        sentinel.join(1.0)
        if stopping.is_set():
            continue
        reason = _silence() or is_stuck()
        if reason:
            logger.critical("The worker cluster is stuck (%s): leaving, to be started anew", reason)
            os._exit(EXIT_STUCK)  # everything below dies with this process
        every_second()
    return 0 if stopping.is_set() else EXIT_STUCK


def _silence() -> str:
    last = _sentinel_beat.value
    silent_s = clock.monotonic() - last
    return f"sentinel silent for {silent_s:.0f} s" if last and silent_s > SILENT_SENTINEL_S else ""


def _leave_at_the_latest() -> None:
    """A task that never returns must not keep the process from stopping."""
    threading.Event().wait(STOP_GRACE_S)
    logger.error("Workers did not stop within %.0f s: killed", STOP_GRACE_S)
    os._exit(EXIT_STUCK)
