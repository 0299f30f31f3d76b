"""Typed, ranged workflow parameters. A bad value gets one sentence naming the field, the range and the value."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from django.utils.functional import Promise
from django.utils.translation import gettext as _

from tradingsite.foundation.errors import FieldProblem, Invalid

Kind: TypeAlias = Literal["int", "float", "bool", "choice", "symbols"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Param:
    """One parameter. `minimum` and `maximum` are inclusive; `unit` is for display."""

    name: str
    kind: Kind
    default: Any
    label: str | Promise
    help: str | Promise = ""
    unit: str | Promise = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()


def defaults(schema: Sequence[Param]) -> dict[str, Any]:
    return {param.name: param.default for param in schema}


def validate(schema: Sequence[Param], values: Mapping[str, Any]) -> dict[str, Any]:
    """Complete parameters with defaults filled in. Raises Invalid with one entry per bad field."""
    known = {param.name: param for param in schema}
    errors: list[FieldProblem] = []
    for name in values:
        if name not in known:
            allowed = ", ".join(sorted(known)) or "-"
            errors.append(
                _error(
                    name,
                    "unknown",
                    _("%(name)s is not a parameter; known are: %(allowed)s.")
                    % {"name": name, "allowed": allowed},
                )
            )
    clean: dict[str, Any] = {}
    for param in schema:
        value = values.get(param.name, param.default)
        message = _problem(param, value)
        if message:
            errors.append(_error(param.name, "out_of_range", message))
        else:
            clean[param.name] = _coerce(param, value)
    if errors:
        raise Invalid(" ".join(error["detail"] for error in errors), errors=errors)
    return clean


def _error(name: str, code: str, detail: str) -> FieldProblem:
    return {"pointer": f"#/params/{name}", "code": code, "detail": detail}


def _coerce(param: Param, value: Any) -> Any:
    if param.kind == "float":
        return float(value)
    if param.kind == "symbols":
        return list(value)
    return value


def _problem(param: Param, value: Any) -> str:
    """Empty when the value is fine, else a sentence."""
    return "" if _is_fine(param, value) else _sentence(param, value)


def _is_fine(param: Param, value: Any) -> bool:
    if param.kind == "bool":
        return isinstance(value, bool)
    if param.kind == "choice":
        return value in param.choices
    if param.kind == "symbols":
        return isinstance(value, (list, tuple)) and all(isinstance(item, str) and item for item in value)
    return _is_number(param, value) and _is_in_range(param, value)


def _is_number(param: Param, value: Any) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return is_number and (param.kind != "int" or int(value) == value)


def _is_in_range(param: Param, value: float) -> bool:
    return (param.minimum is None or value >= param.minimum) and (
        param.maximum is None or value <= param.maximum
    )


def _sentence(param: Param, value: Any) -> str:
    # Made for bad values only: a run reads a dozen good ones. The label: people read it, and machines have the pointer.
    facts = {"name": str(param.label), "value": _shown(value), "unit": f" {param.unit}" if param.unit else ""}
    if param.kind == "bool":
        return _("%(name)s must be true or false, was %(value)s.") % facts
    if param.kind == "choice":
        facts["allowed"] = ", ".join(param.choices)
        return _("%(name)s must be one of %(allowed)s, was %(value)s.") % facts
    if param.kind == "symbols":
        return _("%(name)s must be a list of instrument symbols, was %(value)s.") % facts
    return _number_sentence(param, value, facts)


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _number_sentence(param: Param, value: Any, facts: dict[str, Any]) -> str:
    if not _is_number(param, value):
        word = _("a whole number") if param.kind == "int" else _("a number")
        return _("%(name)s must be %(word)s, was %(value)s.") % (facts | {"word": word})
    low, high = param.minimum, param.maximum
    facts |= {"low": "-∞" if low is None else f"{low:g}", "high": "∞" if high is None else f"{high:g}"}
    return _("%(name)s must be between %(low)s and %(high)s%(unit)s, was %(value)s.") % facts
