"""Workflow types the orchestrator brings itself."""

from __future__ import annotations

from datetime import timedelta

from django.utils.translation import gettext_lazy as _

from orchestrator.plugins import CadenceBounds, Lane, Priority, RunContext, StepResult, TaskSpec, WorkflowType
from orchestrator.services import learning

LEARNING_KEY = "ai_learning_update"


def update_run_values(context: RunContext) -> StepResult:
    """Learn from finished runs how much a run of each workflow is worth."""
    report = learning.update_run_values(context.now)
    moved = {slug: {"before": before, "after": after} for slug, (before, after) in report.moved.items()}
    return StepResult(changed=bool(moved), summary={"workflows": report.seen, "moved": moved})


LEARNING = WorkflowType(
    key=LEARNING_KEY,
    title=_("Learning update"),
    description=_("Learns from finished runs how much a run of each workflow is worth, within fixed bounds."),
    lane=Lane.MAINTENANCE,
    priority=Priority.LOW,
    bounds=CadenceBounds(minimum=timedelta(minutes=15), base=timedelta(hours=1), maximum=timedelta(hours=6)),
    steps=(TaskSpec(name="update_run_values", run=update_run_values),),
    load_weight=1.5,
)
