"""The workflow form: what a person types, and what it means. Keeps everything typed when something is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from django.utils.translation import gettext as _

from orchestrator import plugins
from orchestrator.params import Param, validate
from orchestrator.selectors.pages import WorkflowRow
from orchestrator.services.intervals import INTERVALS
from orchestrator.services.intervals import labels as interval_labels
from orchestrator.services.intervals import problems as interval_problems
from tradingsite.foundation.errors import FieldProblem, Invalid
from tradingsite.foundation.typed_numbers import parse

_UNITS: Final = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


@dataclass(frozen=True, slots=True)
class Field:
    """One input. `kind` text, check, choice or lines; `value` is what the person typed or the stored value."""

    name: str
    label: str
    kind: str
    value: Any
    help: str = ""
    unit: str = ""
    choices: tuple[str, ...] = ()
    default: str = ""
    error: str = ""

    @property
    def id(self) -> str:
        return f"f-{self.name}"


@dataclass(frozen=True, slots=True)
class Values:
    """What the form says, ready for the service. Intervals in whole seconds."""

    name: str
    intervals: dict[str, int]
    params: dict[str, Any]


def interval_fields(row: WorkflowRow, posted: Mapping[str, str], errors: Mapping[str, str]) -> list[Field]:
    """Minimum, base and maximum interval in minutes."""
    bounds = plugins.get(row.type_key).bounds
    low, high = bounds.minimum.total_seconds() / 60, bounds.maximum.total_seconds() / 60
    helps = {
        "min_interval_s": _("Used when the market is at its most lively."),
        "base_interval_s": _("Used in ordinary conditions."),
        "max_interval_s": _("Never waits longer than this while the market is open."),
    }
    stored = {"min_interval_s": row.min_s, "base_interval_s": row.base_s, "max_interval_s": row.max_s}
    limits = _("From %(low)s to %(high)s min.") % {"low": f"{low:g}", "high": f"{high:g}"}
    return [
        Field(
            name=name,
            label=label,
            kind="text",
            value=posted.get(name, f"{Decimal(stored[name]) / 60:.6g}"),
            help=f"{helps[name]} {limits}",
            unit=_("min"),
            error=errors.get(name, ""),
        )
        for name, label in interval_labels().items()
    ]


def param_fields(row: WorkflowRow, posted: Mapping[str, str], errors: Mapping[str, str]) -> list[Field]:
    """One input per parameter of the type."""
    fields = []
    for param in plugins.get(row.type_key).params:
        stored = row.params.get(param.name, param.default)
        value: Any = posted.get(param.name, "") if posted else _as_typed(param, stored)
        if param.kind == "bool":
            value = (posted.get(param.name) == "on") if posted else bool(stored)
        fields.append(
            Field(
                name=param.name,
                label=str(param.label),
                kind={"bool": "check", "choice": "choice", "symbols": "lines"}.get(param.kind, "text"),
                value=value,
                help=f"{param.help} {_range(param)}".strip(),
                unit=str(param.unit),
                choices=param.choices,
                default=_as_typed(param, param.default),
                error=errors.get(param.name, ""),
            )
        )
    return fields


def _as_typed(param: Param, value: Any) -> str:
    if param.kind == "symbols":
        return "\n".join(str(item) for item in value or ())
    return _plain(value) if isinstance(value, float) else str(value)


def _plain(value: float) -> str:
    """Every digit, as a person writes it: `:g` would say 1e+08, and round what the form saves again."""
    return f"{Decimal(repr(value)).normalize():f}"


def _range(param: Param) -> str:
    if param.minimum is None and param.maximum is None:
        return ""
    low = "−∞" if param.minimum is None else _plain(float(param.minimum))
    high = "∞" if param.maximum is None else _plain(float(param.maximum))
    default = _as_typed(param, param.default)
    return _("From %(low)s to %(high)s; default %(default)s.") % {
        "low": low,
        "high": high,
        "default": default,
    }


def read(row: WorkflowRow, posted: Mapping[str, str]) -> Values:
    """The values typed. Raises Invalid with one problem per unreadable field; ranges are the service's business."""
    problems: list[FieldProblem] = []
    intervals: dict[str, int] = {}
    for name in INTERVALS:
        minutes = _number(name, posted.get(name, ""), problems)
        if minutes is not None:
            intervals[name] = int(round(minutes * 60))
    params = {param.name: _param(param, posted, problems) for param in plugins.get(row.type_key).params}
    name_text = posted.get("name", row.name).strip()
    if not name_text:
        problems.append({"pointer": "#/name", "code": "required", "detail": _("Please give it a name.")})
    if problems:
        problems += _out_of_range(plugins.get(row.type_key), intervals, params, problems)
        raise Invalid(_("Please correct the marked fields."), errors=problems)
    return Values(name_text, intervals, params)


def _out_of_range(
    kind: plugins.WorkflowType,
    intervals: Mapping[str, int],
    params: Mapping[str, Any],
    unreadable: list[FieldProblem],
) -> list[FieldProblem]:
    """What the service would say about the rest: everything is told at once, not the ranges after the typing errors."""
    found = interval_problems(kind, intervals)
    try:
        validate(kind.params, params)
    except Invalid as error:
        found += error.errors
    told = {problem["pointer"].rsplit("/", 1)[-1] for problem in unreadable}
    return [problem for problem in found if problem["pointer"].rsplit("/", 1)[-1] not in told]


def _number(name: str, text: str, problems: list[FieldProblem]) -> Decimal | None:
    try:
        return parse(text)
    except Invalid as error:
        problems.append({"pointer": f"#/{name}", "code": error.code, "detail": error.message})
        return None


def _param(param: Param, posted: Mapping[str, str], problems: list[FieldProblem]) -> Any:
    text = posted.get(param.name, "")
    if param.kind == "bool":
        return text == "on"
    if param.kind == "choice":
        return text
    if param.kind == "symbols":
        return [part.upper() for part in text.replace(",", " ").split()]
    number = _number(param.name, text, problems)
    if number is None:
        return param.default
    return int(number) if param.kind == "int" and number == number.to_integral_value() else float(number)
