"""What may be done without a person. Remedies never send orders and never change a limit.

Two more happen where the trouble is seen: a workflow that fails again and again is put into quarantine when its run
ends (services.runs), and a lease whose holder is dead is taken over by the next one who asks (services.leases).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from orchestrator.health.findings import Finding
from orchestrator.services import runs


def apply(finding: Finding, now: datetime) -> str:
    """Carry out `finding.remedy`; returns one sentence about the result. Raises KeyError for an unknown remedy."""
    return _remedies[finding.remedy](finding, now)


def _requeue(finding: Finding, now: datetime) -> str:
    count = runs.requeue_waiting(finding.subject, now)
    return f"rang the bell again for {count} waiting runs"


def _restart_cluster(finding: Finding, now: datetime) -> str:
    # The cluster's main process reads the request every second (requests.restart_requested) and leaves.
    return f"asked the workers of lane {finding.subject} to leave and be started anew"


_remedies: dict[str, Callable[[Finding, datetime], str]] = {
    "requeue": _requeue,
    "restart_cluster": _restart_cluster,
}
