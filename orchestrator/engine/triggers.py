"""Events that bring a run forward. They never pass a gate, and only a person passes the minimum interval."""

from __future__ import annotations

from datetime import datetime
from math import inf

from orchestrator.engine.tuning import Tuning
from orchestrator.engine.types import Cause, Conditions, Exposure, History


def trigger(
    conditions: Conditions, exposure: Exposure, history: History, now: datetime, tuning: Tuning
) -> Cause | None:
    """The most urgent trigger that holds. Unknown and non-finite inputs trigger nothing."""
    last_run_at = history.last_run_at
    asked_at = history.manual_requested_at
    if asked_at is not None and (last_run_at is None or asked_at > last_run_at):
        return Cause.MANUAL
    if last_run_at is None:
        return Cause.FIRST
    if exposure.open_positions > 0:
        distance = exposure.stop_distance_sigmas
        if distance is not None and -inf < distance <= tuning.stop_near_sigmas:
            return Cause.STOP_NEAR
    move = conditions.move_sigmas
    if move is not None and conditions.band_sigmas <= move < inf:
        return Cause.PRICE_BAND
    edge_at = conditions.last_edge_at
    if edge_at is not None and last_run_at < edge_at <= now:
        return Cause.SESSION_EDGE
    return None
