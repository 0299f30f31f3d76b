"""Opens and closes findings about single workflows at once; the health monitor keeps them up to date."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from orchestrator.models import HealthEvent
from orchestrator.services.jsonsafe import clean

WORKFLOW = "workflow"


def open_finding(subject: str, code: str, *, severity: str, detail: Mapping[str, Any], now: datetime) -> None:
    """Open a finding about a workflow, or note that it still holds."""
    HealthEvent.objects.update_or_create(
        component=WORKFLOW, subject=subject[:120], code=code, closed_at=None,
        defaults={"severity": severity, "last_seen_at": now, "detail": clean(detail)},
        create_defaults={"severity": severity, "opened_at": now, "last_seen_at": now, "detail": clean(detail)},
    )  # fmt: skip


def close_finding(subject: str, code: str, now: datetime) -> None:
    """All is well again."""
    HealthEvent.objects.filter(component=WORKFLOW, subject=subject[:120], code=code, closed_at=None).update(
        closed_at=now
    )
