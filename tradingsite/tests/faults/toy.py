"""Toy workflows for systems under fault: what they do is read from a file at each run, what they did is appended to another.

FAULT_TOY_DIR holds `behaviour` (JSON: workflow key -> word) and `executions` (one line per step: run, epoch, step, pid).
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from datetime import datetime, timedelta
from pathlib import Path

from django.apps import AppConfig

from orchestrator.plugins import (
    CadenceBounds,
    Lane,
    Priority,
    RunContext,
    StepResult,
    TaskSpec,
    WorkflowType,
    register,
)
from tradingsite.foundation import clock

FOLDER = Path(os.environ.get("FAULT_TOY_DIR", "/nonexistent"))
DEADLINE_S = 12
DEMO_ASSET_TYPE = "meme_coins"


def behaviour(key: str) -> str:
    try:
        return str(json.loads((FOLDER / "behaviour").read_text()).get(key, ""))
    except (OSError, ValueError):
        return ""


def note(context: RunContext, step: str) -> None:
    """One write with O_APPEND: whole lines, whoever else writes."""
    line = f"{context.run_id} {context.epoch} {step} {os.getpid()} {time.clock_gettime(time.CLOCK_MONOTONIC):.3f}\n"
    descriptor = os.open(FOLDER / "executions", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def begin(context: RunContext) -> StepResult:
    note(context, "begin")
    misbehave(behaviour(context.slug))
    return StepResult(changed=True)


def act(context: RunContext) -> StepResult:
    """Stands for an irreversible action: allowed only while the run may act."""
    context.guard()
    note(context, "act")
    return StepResult(changed=True)


def misbehave(word: str) -> None:
    if word == "work":
        time.sleep(3)
    elif word == "work long":
        time.sleep(8)
    elif word == "sleep":
        time.sleep(3600)
    elif word == "spin":
        sum(range(10**13))  # one C call: no signal handler of Python runs before it ends
    elif word == "swallow":
        until = time.monotonic() + 3600
        while time.monotonic() < until:
            try:
                time.sleep(3600)
            except BaseException:  # noqa: BLE001 - that is the fault
                continue
    elif word == "segfault":
        signal.signal(signal.SIGSEGV, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGSEGV)
    elif word == "fail":
        raise RuntimeError("told to fail")


def trade(context: RunContext) -> StepResult:
    """Orders through the real path: other weights at each run.

    Each run takes back what the one before left open, and the paper venue fills with the next minute's bar: "bursts" leaves
    the orders of one minute alone for two, so that there are fills.
    """
    from assets.markets import hub
    from assets.trading import selectors
    from assets.trading.services import execution
    from assets.trading.targets import Target

    word = behaviour(context.slug)
    if word == "rest" or (word == "bursts" and context.now.minute % 3):
        return StepResult()
    account = selectors.account_for(DEMO_ASSET_TYPE)
    rng = random.Random(context.run_id)
    instruments = hub.active_instruments(DEMO_ASSET_TYPE)
    chosen = rng.sample(instruments, min(3, len(instruments)))
    targets = [Target(symbol=row.symbol, weight=rng.choice((0.0, 0.02, 0.04))) for row in chosen]
    report = execution.execute_targets(ctx=context, account=account, targets=targets, now=context.now)
    return StepResult(changed=report.changed, summary={"sent": report.sent, "denied": report.denied})


def kind(key: str, lane: Lane, steps: tuple[TaskSpec, ...], every_s: int = 2) -> WorkflowType:
    every = timedelta(seconds=every_s)
    return WorkflowType(
        key=key, title=key, lane=lane, priority=Priority.NORMAL, steps=steps, deadline=timedelta(seconds=DEADLINE_S),
        bounds=CadenceBounds(minimum=timedelta(seconds=1), base=every, maximum=2 * every),
        expires_after=timedelta(seconds=30),
    )  # fmt: skip


class ShiftedClock(clock.RealClock):
    """This machine's wall clock, wrong by as many seconds as the file FAULT_CLOCK says at the moment."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def host_now(self) -> datetime:
        try:
            return super().host_now() + timedelta(seconds=float(self._path.read_text()))
        except (OSError, ValueError):
            return super().host_now()


class ToyConfig(AppConfig):
    name = "tradingsite.tests.faults"
    label = "toy"

    def ready(self) -> None:
        if path := os.environ.get("FAULT_CLOCK"):
            clock.set_clock(ShiftedClock(Path(path)))
        steps = (TaskSpec(name="begin", run=begin), TaskSpec(name="act", run=act, idempotent=False))
        for key in ("toy_a", "toy_b"):
            register(kind(key, Lane.TRADING, steps))
        register(kind("toy_m", Lane.MAINTENANCE, steps))
        register(kind("toy_trader", Lane.TRADING, (TaskSpec(name="trade", run=trade, idempotent=False),)))
