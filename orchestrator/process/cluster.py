"""django-q2's cluster, hardened where experiments showed that it hangs, leaves orphans or loses results.

* SIGTERM to the whole group used to kill the sentinel while the main process waited for it for ever: here only the
  main process reacts, the others ignore SIGTERM.
* Killing the main process or the sentinel used to leave workers that went on executing: here every process asks the
  kernel to die with its parent, and the main process leaves when the sentinel is gone or silent.
* Killing an idle worker or the monitor used to leave the queue locked for ever: here the kernel opens its locks.
* Whatever else may stop the cluster while every process looks alive is noticed by a canary task (`watch.py`): the main
  process leaves and the supervisor starts it anew.
* A worker that is stopped for running too long gets two seconds to flush its result.
* A task fetched before SIGTERM but not begun stays undone: its run is rung again after the restart.
"""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import re
import signal
import threading
from collections.abc import Callable
from typing import Any

from django_q import cluster as upstream
from django_q.signals import post_spawn

from orchestrator.process import draining
from orchestrator.process.lifeline import die_with_parent, tied
from orchestrator.process.locks import SturdyQueue
from tradingsite.foundation import clock

logger = logging.getLogger(__name__)

EXIT_STUCK = 70
FLUSH_S = 2
SILENT_SENTINEL_S = 20.0
STOP_GRACE_S = 22.0
_LOOK_EVERY_S = 0.2

# Created before the fork, so that main process and sentinel share it: monotonic time of the last guard cycle.
# Without a lock: a process killed while it held that would block the others.
_sentinel_beat: Any = multiprocessing.Value("d", 0.0, lock=False)


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
    upstream.Queue = SturdyQueue
    upstream.pusher = tied(upstream.pusher)
    upstream.monitor = tied(upstream.monitor)
    post_spawn.connect(_die_with_sentinel, dispatch_uid="orchestrator.lifeline")
    logging.getLogger("django-q").addFilter(_is_worth_a_line)


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    """Canaries come every few seconds for ever; only their absence is news."""
    return record.levelno > logging.INFO or not re.search(r"canary|^Enqueued", record.getMessage())


def serve(*, every_second: Callable[[], None], is_stuck: Callable[[], str]) -> int:
    """Run the cluster until SIGTERM or SIGINT; returns the exit code.

    `every_second` does the process's own housekeeping; `is_stuck` returns a reason to give up and be restarted, or "".
    """
    install()
    cluster = upstream.Cluster()
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        # Only noted here: a handler that waited for workers could do so in the middle of our own transaction.
        signal.signal(number, lambda *_: stopping.set())
    gc.collect()
    gc.freeze()  # the collector would touch, and so copy, every page the processes below share
    cluster.start()
    sentinel, due = cluster.sentinel, clock.monotonic()
    while sentinel.is_alive() and not stopping.is_set():
        stopping.wait(_LOOK_EVERY_S)
        reason = _silence() or is_stuck()
        if reason:
            logger.critical("The worker cluster is stuck (%s): leaving, to be started anew", reason)
            os._exit(EXIT_STUCK)  # everything below dies with this process
        if clock.monotonic() >= due and not stopping.is_set():
            due = clock.monotonic() + 1.0
            every_second()
    if not stopping.is_set():
        logger.critical("The sentinel is gone: leaving, to be started anew")
        os._exit(EXIT_STUCK)
    return _stop(cluster)


def _stop(cluster: Any) -> int:
    draining.begin()
    threading.Thread(target=_leave_at_the_latest, daemon=True).start()
    cluster.stop()
    return 0


def _silence() -> str:
    last = _sentinel_beat.value
    silent_s = clock.monotonic() - last
    return f"sentinel silent for {silent_s:.0f} s" if last and silent_s > SILENT_SENTINEL_S else ""


def _leave_at_the_latest() -> None:
    """A task that never returns must not keep the process from stopping. Its run is closed by the sweeper."""
    threading.Event().wait(STOP_GRACE_S)
    logger.error("Workers did not stop within %.0f s: killed", STOP_GRACE_S)
    os._exit(EXIT_STUCK)
