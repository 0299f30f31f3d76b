"""Housekeeping of market data as workflows of the maintenance lane: find and fill gaps, forget what is too old."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from django.utils.translation import gettext_lazy as _

from assets.markets import conf, feeds
from assets.markets.feeds import Feed
from assets.markets.services import gaps, retention
from orchestrator import plugins
from orchestrator.params import Param
from orchestrator.plugins import CadenceBounds, Lane, Priority, RunContext, StepResult, TaskSpec, WorkflowType
from tradingsite.foundation import retention as site_retention
from tradingsite.foundation import services

BACKFILL: Final = "data_backfill"
PURGE: Final = "data_purge"


def _feed() -> Feed:
    return feeds.get(conf.read().feed)


def find_gaps(context: RunContext) -> StepResult:
    """Look for missing bars of the active instruments and hand the list to the next step."""
    found = gaps.active(now=context.now, days=int(context.params["days"]))
    context.shared["gaps"] = found
    missing = sum(gap.missing for gap in found)
    return StepResult(summary={"gaps": len(found), "missing_bars": missing})


def repair_gaps(context: RunContext) -> StepResult:
    """Fetch what is missing through the feed. Repeating it changes nothing: candles are upserted."""
    found = context.shared.get("gaps")
    if found is None:  # the run went on in another process
        found = gaps.active(now=context.now, days=int(context.params["days"]))
    report = gaps.repair(
        _feed(), found, now=context.now, guard=context.guard, limit=int(context.params["bars_per_run"])
    )
    return StepResult(changed=report.inserted > 0, summary=report.as_summary(), api_weight=report.requests)


def roll_up(context: RunContext) -> StepResult:
    """Store hourly and daily bars made of the fine ones, so that long histories are read quickly."""
    stored = gaps.roll_up(now=context.now, guard=context.guard)
    return StepResult(changed=stored > 0, summary={"stored": stored})


def purge(context: RunContext) -> StepResult:
    """Delete what is older than it needs to be, everywhere, in small portions."""
    policy = retention.Policy(
        minute_days=int(context.params["minute_days"]), rejected_days=int(context.params["rejected_days"])
    )
    report = retention.purge(policy, now=context.now, guard=context.guard)
    # What the other rooms collect: runs, decisions, findings, equity points, resolved alerts.
    others = site_retention.forget_old(context.now, guard=context.guard)
    # What the site itself collects: answers kept for repeated requests, throttle counters, ended sessions.
    summary = {**report.as_summary(), **others.counts, **services.forget_old(context.now)}
    return StepResult(changed=report.deleted + others.deleted > 0, summary=summary)


_BACKFILL = WorkflowType(
    key=BACKFILL,
    title=_("Data back-fill"),
    description=_("Finds gaps in the stored candles and fetches what is missing."),
    lane=Lane.MAINTENANCE,
    priority=Priority.LOW,
    bounds=CadenceBounds(
        minimum=timedelta(minutes=10), base=timedelta(hours=1), maximum=timedelta(hours=12)
    ),
    steps=(
        TaskSpec(name="find_gaps", run=find_gaps),
        TaskSpec(name="repair_gaps", run=repair_gaps),
        TaskSpec(name="roll_up", run=roll_up),
    ),
    params=(
        Param(name="days", kind="int", default=7, minimum=1, maximum=365, unit="d", label=_("Days to look back")),
        Param(
            name="bars_per_run", kind="int", default=20_000, minimum=100, maximum=500_000,
            label=_("Bars fetched in a run at most"),
        ),
    ),
    deadline=timedelta(minutes=5),
    load_weight=2.0,
    replayable=False,  # it fetches from a venue; the candles of a replay are given
)  # fmt: skip

_PURGE = WorkflowType(
    key=PURGE,
    title=_("Data purge"),
    description=_("Deletes what is older than it needs to be: fine candles, runs, decisions, findings, equity by the minute."),
    lane=Lane.MAINTENANCE,
    priority=Priority.LOW,
    bounds=CadenceBounds(minimum=timedelta(hours=1), base=timedelta(days=1), maximum=timedelta(days=7)),
    steps=(TaskSpec(name="purge", run=purge),),
    params=(
        Param(
            name="minute_days", kind="int", default=730, minimum=7, maximum=36_500, unit="d",
            label=_("Keep candles below one hour for"),
        ),
        Param(
            name="rejected_days", kind="int", default=90, minimum=1, maximum=36_500, unit="d",
            label=_("Keep refused bars for"),
        ),
    ),
    deadline=timedelta(minutes=5),
    load_weight=3.0,
    replayable=False,  # a replay must not lose candles because it plays in the past
)  # fmt: skip


def register() -> None:
    """Called when the app is ready."""
    for workflow_type in (_BACKFILL, _PURGE):
        plugins.register(workflow_type)
