"""Why a decision was made, in words. Built from the stored row at reading time, in the reader's language and time zone.

Used by the pages, the API and the commands alike, so that all of them say the same. A `row` is a stored decision or a
mapping with the same names; what is missing from it is left out of the text.
"""

from __future__ import annotations

from orchestrator.explain.rows import (
    CounterfactualText,
    FactorText,
    GateText,
    counterfactuals,
    factors,
    gates,
)
from orchestrator.explain.sentence import sentence

__all__ = [
    "CounterfactualText",
    "FactorText",
    "GateText",
    "counterfactuals",
    "factors",
    "gates",
    "sentence",
]
