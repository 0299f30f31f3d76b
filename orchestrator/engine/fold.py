"""When are two decisions about one workflow the same decision?"""

from __future__ import annotations

from orchestrator.engine.types import Action, Decision, Gate

MAX_LENGTH = 120  # of the stored column


def fold_key(decision: Decision) -> str:
    """Equal keys of neighbouring decisions of one workflow mean one row whose count and last-seen time rise.

    The action, what holds it, the interval and the next run count. Measured values inside gates and factors do not:
    data that is 61 s and then 62 s too old is one story. A run is always a decision of its own: its key holds the
    next run, which moves with `now`.
    """
    after = "-" if decision.next_run_at is None else f"{decision.next_run_at.timestamp():.0f}"
    if decision.action is Action.SKIP:
        # The interval is left out: behind a gate it acts on nothing.
        held = "+".join(_gate_key(gate) for gate in decision.gates)
        return f"skip|{after}|{held}"[:MAX_LENGTH]
    cause = decision.cause.value if decision.cause is not None else ""
    return f"{decision.action.value}|{after}|{cause}|{decision.interval_s:.3f}|{decision.priority}"[
        :MAX_LENGTH
    ]


def _gate_key(gate: Gate) -> str:
    """A word belongs to the story (weekend, holiday; draining, stopped), a measured number does not."""
    return f"{gate.code}:{gate.value}" if isinstance(gate.value, str) and gate.value else gate.code
