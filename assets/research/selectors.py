"""Reads of the research room."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orchestrator.models import RunStep

STEP = "ai_market_analysis"


@dataclass(frozen=True, kw_only=True, slots=True)
class MarketAnalysis:
    """A finished analysis; `summary` as `market_analysis` wrote it."""

    run_id: int
    at: datetime
    summary: Mapping[str, Any]


def newest_market_analysis(now: datetime) -> MarketAnalysis | None:
    """The newest analysis finished at or before `now`, or None. One query."""
    steps = RunStep.objects.filter(name=STEP, status=RunStep.Status.SUCCEEDED, finished_at__lte=now)
    step = steps.order_by("-finished_at", "-pk").first()
    if step is None or step.finished_at is None:
        return None
    return MarketAnalysis(run_id=step.run_id, at=step.finished_at, summary=step.summary)
