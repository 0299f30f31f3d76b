"""Requests from the health monitor to processes that cannot be called: kept as rows they read every second."""

from __future__ import annotations

from datetime import datetime

from orchestrator.health import canary
from orchestrator.models import HealthEvent

RESTART_CLUSTER = "restart_cluster"


def restart_requested(lane: str, *, since: datetime) -> bool:
    """True when an open finding asked for this lane's restart, here or everywhere, after the asking process started."""
    subjects = (lane, f"{lane}@{canary.host()}")
    return HealthEvent.objects.filter(
        component="workers", subject__in=subjects, remedy=RESTART_CLUSTER, remedy_at__gt=since, closed_at=None
    ).exists()
