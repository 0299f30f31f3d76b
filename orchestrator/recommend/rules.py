"""One function per piece of advice: figures in, advice or None out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from orchestrator.recommend.facts import MIN_RUNS, Facts, wilson
from orchestrator.recommend.values import Recommendation, Subject
from orchestrator.recommend.words import Change

MIN_SPAN: Final = timedelta(days=7)  # of decisions, before anything is said about intervals
MIN_DECISIONS: Final = 20
_STRETCH: Final = 1.5


def _is_watched(facts: Facts) -> bool:
    return facts.span >= MIN_SPAN and facts.decisions >= MIN_DECISIONS


def _advice(
    subject: Subject, code: str, severity: str, evidence_n: int, change: Change | None = None, **params: Any
) -> Recommendation:
    return Recommendation(
        code=code,
        severity=severity,
        slug=subject.slug,
        name=subject.name,
        asset_type=subject.asset_type,
        evidence_n=evidence_n,
        params=params,
        change=change,
    )


def _longer_base(subject: Subject) -> Change | None:
    """None when the base is already as long as its own maximum and the type allow."""
    before = subject.bounds.base_s
    after = min(before * _STRETCH, subject.bounds.max_s, subject.type_bounds.max_s)
    return (
        Change(setting="base_interval_s", before=before, after=round(after))
        if after > before * 1.05
        else None
    )


def calm_market(subject: Subject, facts: Facts) -> Recommendation | None:
    """Volatility stayed under its threshold for a week and the runs seldom changed anything."""
    if not _is_watched(facts) or facts.volatility_known < MIN_DECISIONS or facts.hot_share > 0.0:
        return None
    if facts.judged >= MIN_RUNS and facts.changed / facts.judged >= 0.25:
        return None  # calm, yet the runs find something to do
    change = _longer_base(subject)
    if change is None or facts.threshold is None or facts.highest_volatility is None:
        return None
    return _advice(
        subject,
        "calm_market",
        "info",
        facts.volatility_known,
        change,
        days=facts.span.days,
        highest=facts.highest_volatility,
        threshold=facts.threshold,
    )


def runs_change_nothing(subject: Subject, facts: Facts) -> Recommendation | None:
    """Hardly any run changed a target, stop, forecast or position."""
    if facts.judged < MIN_RUNS or wilson(facts.changed, facts.judged)[1] > 0.10:
        return None
    change = _longer_base(subject)
    ratio = facts.changed / facts.judged
    return (
        None
        if change is None
        else _advice(subject, "runs_change_nothing", "info", facts.judged, change, ratio=ratio)
    )


def held_at_minimum(subject: Subject, facts: Facts) -> Recommendation | None:
    """The engine wanted shorter intervals than the minimum for much of the time, and the type allows them."""
    if not _is_watched(facts) or facts.at_minimum_share < 0.30:
        return None
    before = subject.bounds.min_s
    after = max(before / 2.0, subject.type_bounds.min_s)
    if after >= before * 0.95:
        return None
    change = Change(setting="min_interval_s", before=before, after=max(round(after), 1))
    return _advice(subject, "held_at_minimum", "info", facts.decisions, change, share=facts.at_minimum_share)


def low_success(subject: Subject, facts: Facts) -> Recommendation | None:
    """Certainly fewer than 95 % of the runs succeed."""
    if facts.ended < MIN_RUNS or wilson(facts.succeeded, facts.ended)[1] >= 0.95:
        return None
    ratio = facts.succeeded / facts.ended
    return _advice(subject, "low_success", "warning", facts.ended, ratio=ratio, error=facts.error)


def stale_data(subject: Subject, facts: Facts) -> Recommendation | None:
    if facts.decisions < MIN_DECISIONS or facts.stale_share < 0.05:
        return None
    return _advice(subject, "stale_data", "warning", facts.decisions, share=facts.stale_share)


def request_budget(subject: Subject, facts: Facts) -> Recommendation | None:
    if facts.decisions < MIN_DECISIONS or facts.quota_share < 0.01:
        return None
    return _advice(subject, "request_budget", "warning", facts.decisions, share=facts.quota_share)


def busy_machine(subject: Subject, facts: Facts) -> Recommendation | None:
    if facts.decisions < MIN_DECISIONS or facts.slowed_share < 0.25:
        return None
    return _advice(subject, "busy_machine", "warning", facts.decisions, share=facts.slowed_share)


def started_too_late(subject: Subject, facts: Facts) -> Recommendation | None:
    due = facts.ended + facts.too_late
    if facts.too_late < 3 or facts.too_late / due < 0.05:
        return None
    return _advice(subject, "started_too_late", "warning", due, count=facts.too_late)


def slow_runs(subject: Subject, facts: Facts) -> Recommendation | None:
    """A run takes more than half of the shortest interval: it may still run when the next is due."""
    slow = facts.duration_p95_s
    before = subject.bounds.min_s
    if slow is None or slow <= before / 2.0:
        return None
    after = min(round(slow * 2.0), subject.bounds.base_s)
    change = Change(setting="min_interval_s", before=before, after=after) if after > before else None
    return _advice(subject, "slow_runs", "warning", facts.ended, change, seconds=slow)


RULES: Final = (
    low_success,
    stale_data,
    request_budget,
    busy_machine,
    started_too_late,
    slow_runs,
    calm_market,
    runs_change_nothing,
    held_at_minimum,
)
