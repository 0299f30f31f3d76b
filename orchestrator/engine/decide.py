"""One decision about one workflow at one instant. Pure, bounded and fast."""

from __future__ import annotations

from datetime import datetime, timedelta

from orchestrator.engine.cadence import Cadence, cadence
from orchestrator.engine.gates import gates, opens_at
from orchestrator.engine.triggers import trigger
from orchestrator.engine.tuning import DEFAULT, Tuning
from orchestrator.engine.types import (
    Action,
    Cause,
    Conditions,
    Decision,
    Exposure,
    Gate,
    History,
    HostLoad,
    Subject,
)

_RUN, _WAIT, _SKIP = Action.RUN, Action.WAIT, Action.SKIP
_CADENCE, _MANUAL, _RETRY = Cause.CADENCE, Cause.MANUAL, Cause.RETRY


def decide(
    subject: Subject,
    conditions: Conditions,
    exposure: Exposure,
    load: HostLoad,
    history: History,
    now: datetime,
    *,
    tuning: Tuning = DEFAULT,
) -> Decision:
    """Run now, wait, or skip. Raises InvalidBounds for a workflow with impossible bounds, and for nothing else.

    * Gates first: one that holds is a SKIP, for a person's request too. The request stays pending and runs when the
      gate opens: a closed market or stale data does not become tradable because someone pressed a button.
    * A trigger runs once the minimum interval (doubled per failure) has passed; a person's request runs at once.
    * Else the run is due at last run + interval. However late that is, it is one run and its slot is `now`.
    """
    plan = cadence(subject, conditions, exposure, load, history, tuning)
    held = gates(subject, conditions, history, now, tuning)
    if held:
        end = opens_at(held, conditions, history, now)
        return _decision(_SKIP, None, plan, end, _priority(subject, exposure, plan, None), held)
    cause = trigger(conditions, exposure, history, now, tuning)
    due_in_s, cause = _due(cause, plan, subject.bounds.max_s, history, now)
    priority = _priority(subject, exposure, plan, cause)
    if due_in_s <= 0.0:
        following = now + timedelta(0, plan.interval_s)
        return _decision(_RUN, cause or _CADENCE, plan, following, priority, ())
    return _decision(_WAIT, None, plan, now + timedelta(0, due_in_s), priority, ())


def _due(
    cause: Cause | None, plan: Cadence, max_s: float, history: History, now: datetime
) -> tuple[float, Cause | None]:
    """Seconds until the run is due (<= 0: now), and why it would run."""
    last_run_at = history.last_run_at
    if last_run_at is None or cause is _MANUAL:
        return 0.0, cause
    elapsed_s = (now - last_run_at).total_seconds()
    if elapsed_s < -max_s:
        return 0.0, cause  # the clock was set back: waiting for the old time could take for ever
    interval_s = plan.interval_s
    if cause is not None:
        interval_s = min(plan.trigger_floor_s, interval_s)
    elif history.consecutive_failures > 0:
        cause = _RETRY
    return interval_s - elapsed_s, cause


def _priority(subject: Subject, exposure: Exposure, plan: Cadence, cause: Cause | None) -> int:
    """The type's priority, one higher when something is at stake."""
    ordinary = subject.priority
    if ordinary is None:
        ordinary = 2 if subject.is_trading else 3
    if exposure.open_positions > 0 or plan.is_hot or (cause is not None and cause is not _RETRY):
        ordinary -= 1
    return 1 if ordinary < 1 else 3 if ordinary > 3 else ordinary


def _decision(
    action: Action,
    cause: Cause | None,
    plan: Cadence,
    next_run_at: datetime | None,
    priority: int,
    held: tuple[Gate, ...],
) -> Decision:
    return Decision(
        action=action,
        cause=cause,
        interval_s=plan.interval_s,
        interval_before_s=plan.before_s,
        next_run_at=next_run_at,
        priority=priority,
        log_interval=plan.log_interval,
        factors=plan.factors,
        gates=held,
    )
