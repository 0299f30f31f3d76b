"""What would have given another answer: computed from the stored inputs when somebody asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.engine import RULE_VERSION
from orchestrator.engine.restore import NotRestorable, counterfactuals_of
from orchestrator.explain import reading


def alternatives(row: Any) -> Sequence[Mapping[str, Any]]:
    """Counterfactuals of a stored decision as JSON values, changes of the action first.

    Empty for a decision by older rules, or without its inputs: today's rules would answer for a decision they did not
    make.
    """
    given = reading.get(row, "counterfactuals")
    if given is not None:
        return list(given)  # a document that already carries them (an API answer, an export)
    stored, at = reading.get(row, "inputs"), reading.moment(reading.get(row, "decided_at"))
    if not stored or at is None or reading.get(row, "rule_version") != RULE_VERSION:
        return []
    try:
        return counterfactuals_of(stored, at)
    except NotRestorable:
        return []
