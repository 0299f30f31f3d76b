"""Advice in words, made when it is read, in the reader's language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from orchestrator.explain import reading


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A suggested value of one setting, in its own unit (intervals in seconds)."""

    setting: str
    before: float
    after: float


def title(code: str) -> str:
    return {
        "low_success": _("Too many runs fail"),
        "stale_data": _("Data is often too old"),
        "request_budget": _("The request budget runs out"),
        "busy_machine": _("The machine slows this workflow down"),
        "started_too_late": _("Runs start too late"),
        "slow_runs": _("Runs take long"),
        "calm_market": _("Calm market: a longer base interval would do"),
        "runs_change_nothing": _("Runs seldom change anything"),
        "held_at_minimum": _("The minimum interval holds it back"),
    }.get(code, code)


def text(code: str, params: Mapping[str, Any], evidence_n: int, change: Change | None) -> str:
    """What was seen, then what could be done."""
    facts = {name: _word(name, value) for name, value in params.items()} | {"n": reading.plain(evidence_n, 0)}
    if change is not None:
        facts |= {"before": reading.duration(change.before), "after": reading.duration(change.after)}
    because, advice = _because(code, has_error=bool(params.get("error"))), _do(code, change)
    return " ".join(part % facts for part in (because, advice) if part)


def _word(name: str, value: Any) -> str:
    size = reading.number(value)
    if size is None:
        return str(value)
    if name in ("share", "ratio"):
        return reading.percent(size)
    if name == "seconds":
        return reading.duration(size)
    return reading.plain(size, 2 if name in ("highest", "threshold") else 0)


def _because(code: str, *, has_error: bool) -> str:
    if code == "low_success" and has_error:
        return _("%(ratio)s of the runs succeeded (n = %(n)s); the most frequent error is %(error)s.")
    return {
        "low_success": _("%(ratio)s of the runs succeeded (n = %(n)s)."),
        "stale_data": _("Its data was missing or too old for %(share)s of the time (n = %(n)s decisions)."),
        "request_budget": _(
            "The venue's request budget was used up for %(share)s of the time (n = %(n)s decisions)."
        ),
        "busy_machine": _(
            "Load stretched its interval by a fifth or more for %(share)s of the time (n = %(n)s)."
        ),
        "started_too_late": _("%(count)s of %(n)s due runs did not start in time."),
        "slow_runs": _(
            "One run in twenty takes longer than %(seconds)s, over half of the minimum interval (n = %(n)s)."
        ),
        "calm_market": _(
            "Volatility stayed under %(threshold)s for %(days)s days (highest %(highest)s, n = %(n)s decisions)."
        ),
        "runs_change_nothing": _("%(ratio)s of the runs changed something (n = %(n)s)."),
        "held_at_minimum": _(
            "It wanted to run more often than allowed for %(share)s of the time (n = %(n)s decisions)."
        ),
    }.get(code, code)


def _do(code: str, change: Change | None) -> str:
    if change is not None:
        return {
            "base_interval_s": _("Consider a base interval of %(after)s (now %(before)s)."),
            "min_interval_s": _("Consider a minimum interval of %(after)s (now %(before)s)."),
        }.get(change.setting, "")
    return {
        "low_success": _("Look at the failed runs first."),
        "stale_data": _("Check the feed, or allow older data if the strategy can bear it."),
        "request_budget": _("Use fewer instruments, or longer intervals at this venue."),
        "busy_machine": _("Add a worker, or lengthen the intervals of less urgent workflows."),
        "started_too_late": _("Add a worker to its lane."),
        "slow_runs": _("Use fewer instruments, or a longer minimum interval."),
    }.get(code, "")
