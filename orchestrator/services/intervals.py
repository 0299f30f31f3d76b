"""The three intervals of a workflow: their names in code and for people, and what they must satisfy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.utils.translation import gettext as _

from orchestrator import plugins
from tradingsite.foundation.errors import FieldProblem
from tradingsite.foundation.numbers_text import duration

INTERVALS: Final = ("min_interval_s", "base_interval_s", "max_interval_s")


def labels() -> dict[str, str]:
    """What forms and messages call them, in the reader's language."""
    words = (_("Shortest interval"), _("Base interval"), _("Longest interval"))
    return dict(zip(INTERVALS, words, strict=True))


def problems(kind: plugins.WorkflowType, values: Mapping[str, Any]) -> list[FieldProblem]:
    """One per interval (whole seconds) outside the type's bounds, or one when they are out of order."""
    low, high = int(kind.bounds.minimum.total_seconds()), int(kind.bounds.maximum.total_seconds())
    errors: list[FieldProblem] = []
    for field, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            detail = _("%(field)s must be from %(low)s to %(high)s, was %(value)s.")
            facts = {"field": labels()[field], "low": _span(low), "high": _span(high), "value": _span(value)}
            errors.append({"pointer": f"#/{field}", "code": "out_of_range", "detail": detail % facts})
    if (
        not errors
        and len(values) == len(INTERVALS)
        and not values["min_interval_s"] <= values["base_interval_s"] <= values["max_interval_s"]
    ):
        text = _(
            "The intervals must be in order: shortest, base, longest. They were %(low)s, %(base)s, %(high)s."
        )
        spans = {
            name: _span(values[field]) for name, field in zip(("low", "base", "high"), INTERVALS, strict=True)
        }
        errors.append({"pointer": "#/base_interval_s", "code": "interval_order", "detail": text % spans})
    return errors


def _span(value: Any) -> str:
    """Whole seconds in words; anything else as it is."""
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return (duration(value) if is_whole else None) or str(value)
