"""Requests from the health monitor to processes that cannot be called: kept as rows they read every second."""

from __future__ import annotations

from datetime import datetime

from orchestrator.models import HealthEvent

RESTART_CLUSTER = "restart_cluster"


def restart_requested(lane: str, *, since: datetime) -> bool:
    """True when an open finding asked for this lane's restart after the asking process started."""
    return HealthEvent.objects.filter(
        component="workers", subject=lane, remedy=RESTART_CLUSTER, remedy_at__gt=since, closed_at=None
    ).exists()
