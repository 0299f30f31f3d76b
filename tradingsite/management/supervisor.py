"""Starts the whole system as one process tree, restarts what falls, stops it in order and never leaves an orphan."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.process.lifeline import die_with_parent
from tradingsite.foundation import clock

logger = logging.getLogger(__name__)

FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 30.0
STEADY_S = 30.0  # a process that lived this long starts again without delay
STOP_GRACE_S = 27.0


@dataclass(kw_only=True)
class Child:
    """One process of the tree and how often it had to be started."""

    name: str
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    not_before: float = 0.0
    delay_s: float = FIRST_DELAY_S
    starts: int = 0

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None


@dataclass(kw_only=True)
class Supervisor:
    """Keeps `children` running until `stop` is set."""

    children: list[Child]
    environment: Mapping[str, str]
    on_event: Callable[[str], None]
    stop: threading.Event = field(default_factory=threading.Event)

    def serve(self) -> None:
        """Blocks until SIGTERM or SIGINT, then stops everything within STOP_GRACE_S."""
        for sig in (signal.SIGTERM, signal.SIGINT):
            signal.signal(sig, lambda number, frame: self.stop.set())
        while not self.stop.is_set():
            for child in self.children:
                self._watch(child)
            self.stop.wait(0.2)
        self._stop_all()

    def _watch(self, child: Child) -> None:
        if child.is_running():
            return
        now = clock.monotonic()
        if child.process is not None:
            self._note_exit(child, now)
        if now >= child.not_before:
            self._start(child, now)

    def _note_exit(self, child: Child, now: float) -> None:
        assert child.process is not None
        lived_s = now - child.started
        self._kill_group(child)  # what it may have left behind
        child.delay_s = FIRST_DELAY_S if lived_s > STEADY_S else min(child.delay_s * 2, LONGEST_DELAY_S)
        child.not_before = now + (0.0 if lived_s > STEADY_S else child.delay_s / 2)
        self.on_event(f"{child.name} left with {child.process.returncode} after {lived_s:.0f} s")
        child.process = None

    def _start(self, child: Child, now: float) -> None:
        # Own session: Ctrl-C reaches the supervisor only, and the group can be killed as a whole.
        child.process = subprocess.Popen(  # noqa: S603 - our own commands
            child.command, env=dict(self.environment), start_new_session=True, preexec_fn=die_with_parent
        )
        child.started = now
        child.starts += 1
        self.on_event(f"{child.name} started as {child.process.pid}")

    def _stop_all(self) -> None:
        for child in self.children:
            if child.is_running() and child.process is not None:
                child.process.send_signal(signal.SIGTERM)  # the leader only: it stops its own in order
        deadline = clock.monotonic() + STOP_GRACE_S
        for child in self.children:
            if child.process is None:
                continue
            try:
                child.process.wait(max(0.1, deadline - clock.monotonic()))
            except subprocess.TimeoutExpired:
                self.on_event(f"{child.name} did not stop in time: killed")
            self._kill_group(child)
            self.on_event(f"{child.name} stopped")

    def _kill_group(self, child: Child) -> None:
        assert child.process is not None
        try:
            os.killpg(child.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        child.process.wait()
