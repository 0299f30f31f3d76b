"""Runs from plan to end. The run table is the truth; the queue is a bell that may ring twice or never."""

from orchestrator.services.runs.claiming import (
    begin_step,
    claim,
    forget_other_code,
    heartbeat,
    may_act,
    next_step,
    step_done,
)
from orchestrator.services.runs.closing import (
    Outcome,
    StepOutcome,
    cancel,
    fail,
    finish,
    skip,
    stop_running,
    time_out,
)
from orchestrator.services.runs.planning import Ring, Wanted, enqueue, plan, requeue_waiting, ring, slot_of
from orchestrator.services.runs.sweeping import SweepReport, sweep

__all__ = [
    "Outcome",
    "Ring",
    "StepOutcome",
    "SweepReport",
    "Wanted",
    "begin_step",
    "cancel",
    "claim",
    "enqueue",
    "fail",
    "finish",
    "forget_other_code",
    "heartbeat",
    "may_act",
    "next_step",
    "plan",
    "requeue_waiting",
    "ring",
    "skip",
    "slot_of",
    "step_done",
    "stop_running",
    "sweep",
    "time_out",
]
