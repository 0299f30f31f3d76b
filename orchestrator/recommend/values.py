"""What advice is about and what it consists of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.engine.types import Bounds
from orchestrator.recommend import words
from orchestrator.recommend.words import Change


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """The workflow as configured, and the widest bounds its type allows."""

    slug: str
    name: str
    asset_type: str
    bounds: Bounds
    type_bounds: Bounds


@dataclass(frozen=True, kw_only=True, slots=True)
class Recommendation:
    """`evidence_n` counts the runs or decisions behind it. `params` holds numbers and words for the text."""

    code: str
    severity: str  # info or warning
    slug: str
    name: str
    asset_type: str
    evidence_n: int
    params: Mapping[str, Any] = field(default_factory=dict)
    change: Change | None = None

    @property
    def title(self) -> str:
        return words.title(self.code)

    @property
    def text(self) -> str:
        return words.text(self.code, self.params, self.evidence_n, self.change)
