"""Hard rules. Any that holds ends in a skip whatever the factors say."""

from __future__ import annotations

from datetime import datetime

from orchestrator.engine.tuning import Tuning
from orchestrator.engine.types import Conditions, Gate, History, Subject, Switch

# PAUSED runs on purpose: entries stop further down, exits and stops must go on. Any other position holds.
_RUNNING, _PAUSED = Switch.RUNNING, Switch.PAUSED


def gates(
    subject: Subject, conditions: Conditions, history: History, now: datetime, tuning: Tuning
) -> tuple[Gate, ...]:
    """Every gate that holds, the most general first."""
    held: list[Gate] = []
    switch = subject.switch
    if switch is not _RUNNING and switch not in (_RUNNING, _PAUSED):
        held.append(Gate(code="switch", holds=True, value=str(switch), limit=str(_RUNNING)))
    until = history.quarantined_until
    if until is not None and until > now:
        held.append(
            Gate(
                code="quarantined",
                holds=True,
                value=float(history.consecutive_failures),
                limit=until.isoformat(),
            )
        )
    if history.open_run:
        held.append(Gate(code="open_run", holds=True))
    if not conditions.is_open:
        # A closed market explains old data; naming both would blame the feed.
        opens = conditions.next_open_at
        limit = opens.isoformat() if opens is not None else None
        held.append(Gate(code="market_closed", holds=True, value=conditions.closed_reason, limit=limit))
    elif conditions.data_age_limit_s is not None:
        gate = _data_gate(conditions.data_age_s, conditions.data_age_limit_s)
        if gate is not None:
            held.append(gate)
    if not conditions.venue_up:
        held.append(Gate(code="venue_down", holds=True))
    if conditions.quota_used >= tuning.quota_stop:
        held.append(Gate(code="quota", holds=True, value=conditions.quota_used, limit=tuning.quota_stop))
    return tuple(held) if held else ()


def _data_gate(age_s: float | None, limit_s: float) -> Gate | None:
    """NaN fails closed: an age that is no number is missing, a limit that is no number is passed by nothing."""
    if age_s is None or age_s != age_s:
        return Gate(code="data_missing", holds=True, limit=limit_s)
    if not age_s <= limit_s:
        return Gate(code="data_stale", holds=True, value=age_s, limit=limit_s)
    return None


def opens_at(
    held: tuple[Gate, ...], conditions: Conditions, history: History, now: datetime
) -> datetime | None:
    """When the last of the gates is known to open; None when one has no known end."""
    latest: datetime | None = None
    for gate in held:
        if gate.code == "market_closed":
            end = conditions.next_open_at
        elif gate.code == "quarantined":
            end = history.quarantined_until
        else:
            end = None
        if end is None or end <= now:
            return None
        if latest is None or end > latest:
            latest = end
    return latest
