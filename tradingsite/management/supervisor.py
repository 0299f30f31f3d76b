"""Starts the whole system as one process tree, restarts what falls, stops it in order and never leaves an orphan."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.process import pulse
from orchestrator.process.lifeline import tie_to_this_process
from tradingsite.foundation import clock

FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 15.0
STEADY_S = 30.0  # a process that lived this long starts again without delay
STOP_GRACE_S = 27.0
PULSE_PATIENCE_S = 35.0  # longer than the longest wait for a lock of the database (20 s)
_LOOK_EVERY_S = 0.2


@dataclass(kw_only=True)
class Child:
    """One process of the tree. `has_pulse`: it shows signs of life, and silence means it hangs."""

    name: str
    command: Sequence[str]
    has_pulse: bool = True
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    not_before: float = 0.0
    delay_s: float = 0.0
    heard: float = 0.0
    ear: int | None = None

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def listen(self, now: float) -> None:
        """Note whether the child showed a sign of life since the last look."""
        try:
            if self.ear is not None and os.read(self.ear, 4096):
                self.heard = now
        except BlockingIOError:
            return

    def deafen(self) -> None:
        if self.ear is not None:
            os.close(self.ear)
            self.ear = None


@dataclass(kw_only=True)
class Supervisor:
    """Keeps `children` running until `stop` is set."""

    children: list[Child]
    environment: Mapping[str, str]
    on_event: Callable[[str], None]
    stop: threading.Event = field(default_factory=threading.Event)
    patience_s: float = PULSE_PATIENCE_S

    def serve(self) -> None:
        """Blocks until SIGTERM or SIGINT, then stops everything within STOP_GRACE_S."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: self.stop.set())
        while not self.stop.is_set():
            for child in self.children:
                self._watch(child)
            self.stop.wait(_LOOK_EVERY_S)
        self._stop_all()

    def _watch(self, child: Child) -> None:
        now = clock.monotonic()
        if child.is_running():
            child.listen(now)
            if child.has_pulse and now - child.heard > self.patience_s:
                self.on_event(f"{child.name} shows no sign of life for {now - child.heard:.0f} s: killed")
                self._kill_group(child)
            return
        if child.process is not None:
            self._note_exit(child, now)
        if now >= child.not_before:
            self._start(child, now)

    def _note_exit(self, child: Child, now: float) -> None:
        """What left early starts again later, twice as late each time."""
        assert child.process is not None
        lived_s = now - child.started
        self._kill_group(child)  # what it may have left behind
        if lived_s > STEADY_S:
            child.delay_s = 0.0
        else:
            child.delay_s = min(max(child.delay_s * 2, FIRST_DELAY_S), LONGEST_DELAY_S)
        child.not_before = now + child.delay_s
        self.on_event(f"{child.name} left with {child.process.returncode} after {lived_s:.0f} s")
        child.process = None

    def _start(self, child: Child, now: float) -> None:
        child.deafen()
        child.ear, mouth = os.pipe()
        os.set_blocking(child.ear, False)
        try:
            # Own session: Ctrl-C reaches the supervisor only, and the group can be killed as a whole.
            child.process = subprocess.Popen(
                child.command, env={**self.environment, **child.environment, pulse.VARIABLE: str(mouth)},
                pass_fds=(mouth,), start_new_session=True, preexec_fn=tie_to_this_process(),
            )  # fmt: skip
        finally:
            os.close(mouth)
        child.started = child.heard = now
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
            child.deafen()
            self.on_event(f"{child.name} stopped")

    def _kill_group(self, child: Child) -> None:
        assert child.process is not None
        try:
            os.killpg(child.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        finally:
            child.process.wait()
