"""What the history of a workflow suggests to change. Pure: rows in, coded advice out; words are made at reading time.

Every piece of advice names its evidence and how much of it there is; below that much, there is no advice. Nothing is
ever changed by itself: a person takes the suggestion or leaves it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from orchestrator.recommend.facts import Facts, Seen, gather, seen, wilson
from orchestrator.recommend.rules import RULES
from orchestrator.recommend.values import Recommendation, Subject
from orchestrator.recommend.words import Change

__all__ = ["Change", "Facts", "Recommendation", "Seen", "Subject", "gather", "recommend", "seen", "wilson"]


def recommend(
    subject: Subject, *, decisions: Iterable[Any], runs: Iterable[Any], now: datetime
) -> tuple[Recommendation, ...]:
    """Advice for one workflow, warnings first. Rows are stored rows, mappings with the same names or (decisions) `Seen`, in any order."""
    facts = gather(decisions=decisions, runs=runs, now=now)
    found = [advice for rule in RULES if (advice := rule(subject, facts)) is not None]
    # A calm market and useless runs give the same advice: it is said once.
    if any(item.code == "calm_market" for item in found):
        found = [item for item in found if item.code != "runs_change_nothing"]
    return tuple(sorted(found, key=lambda item: item.severity != "warning"))
