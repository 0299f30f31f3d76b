"""The supervisor with small children: they are restarted, stopped, killed when they hang, and never outlive it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tradingsite.foundation import clock
from tradingsite.tests.faults.harness import wait_for

ROOT = Path(__file__).resolve().parents[3]

SCRIPT = """
import os, sys, threading
from tradingsite.management import supervisor
from tradingsite.management.supervisor import Child, Supervisor
child = Child(name="child", command=[sys.executable, "-c", {child!r}], has_pulse={pulse})
def say(event):
    print(event, flush=True)
Supervisor(children=[child], environment=os.environ, on_event=say, patience_s=1.0).serve()
"""

WITH_GRANDCHILD = """
import os, signal, sys, time
from orchestrator.process.lifeline import die_with
parent = os.getpid()
pid = os.fork()
if pid == 0:
    die_with(parent)
    time.sleep(600)
open(os.environ["NOTES"], "a").write(f"{os.getpid()} {pid}\\n")
time.sleep(600)
"""
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
ONE_PULSE = "import time; from orchestrator.process.pulse import Pulse; Pulse().beat(); time.sleep(600)"
BEATING = """
import time
from orchestrator.process.pulse import Pulse
pulse = Pulse()
for _ in range(6000):
    pulse.beat(); time.sleep(0.1)
"""
LEAVES = "raise SystemExit(3)"

Start = Callable[..., "Running"]


class Running:
    """A supervisor in its own process, what it said, and what its child wrote."""

    def __init__(self, folder: Path, child: str, pulse: bool) -> None:
        self.notes, self.log = folder / "notes", folder / "log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", SCRIPT.format(child=child, pulse=pulse)], cwd=ROOT, stdout=log, stderr=log,
                env={**os.environ, "NOTES": str(self.notes), "PYTHONPATH": str(ROOT)},
            )  # fmt: skip

    def said(self, word: str) -> int:
        return self.log.read_text().count(word)

    def family(self) -> list[int]:
        """Child and grandchild, once both are there."""
        text = self.notes.read_text() if self.notes.exists() else ""
        return [int(pid) for pid in text.splitlines()[-1].split()] if text.endswith("\n") else []


def lives(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    made: list[Running] = []

    def begin(child: str, pulse: bool = False) -> Running:
        made.append(Running(tmp_path, child, pulse))
        return made[-1]

    yield begin
    for item in made:
        item.process.kill()
        item.process.wait()


def test_killing_the_supervisor_takes_children_and_grandchildren_with_it(start: Start) -> None:
    system = start(WITH_GRANDCHILD)
    wait_for(system.family, 20, "the family is there")
    system.process.kill()
    system.process.wait()
    wait_for(lambda: not any(lives(pid) for pid in system.family()), 2, "nobody is left")


def test_a_killed_child_takes_its_own_children_along_and_is_replaced(start: Start) -> None:
    system = start(WITH_GRANDCHILD)
    wait_for(system.family, 20, "the family is there")
    first = system.family()
    os.kill(first[0], signal.SIGKILL)
    wait_for(lambda: system.family() != first, 20, "a new one is there")
    assert not any(lives(pid) for pid in first)
    assert system.said("left with -9") == 1


def test_a_child_that_ignores_sigterm_is_killed_in_the_end(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = SCRIPT.replace("child = Child", "supervisor.STOP_GRACE_S = 1.0\nchild = Child")
    monkeypatch.setattr(sys.modules[__name__], "SCRIPT", short)
    system = start(STUBBORN)
    wait_for(lambda: system.said("started"), 20, "it started")
    time.sleep(0.5)  # until it ignores the signal
    system.process.terminate()
    system.process.wait(10)
    assert system.said("did not stop in time") == 1


def test_a_child_that_leaves_at_once_is_started_again_ever_later(start: Start) -> None:
    system = start(LEAVES)
    began = clock.monotonic()
    wait_for(lambda: system.said("left with 3") >= 3, 20, "it left three times")
    assert clock.monotonic() - began > 1.4  # 0.5 s, then 1 s
    system.process.terminate()
    assert system.process.wait(10) == 0


def test_a_child_that_shows_no_sign_of_life_is_replaced(start: Start) -> None:
    system = start(ONE_PULSE, pulse=True)
    wait_for(lambda: system.said("no sign of life") and system.said("started") >= 2, 20, "it is replaced")


def test_a_child_that_shows_signs_of_life_is_left_alone(start: Start) -> None:
    system = start(BEATING, pulse=True)
    wait_for(lambda: system.said("started"), 20, "it started")
    time.sleep(2.5)
    assert system.said("no sign of life") == 0
    system.process.send_signal(signal.SIGINT)
    assert system.process.wait(10) == 0
    assert system.said("child stopped") == 1
