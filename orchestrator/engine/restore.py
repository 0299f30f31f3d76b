"""From the stored inputs of a decision back to engine values: a decision can be repeated and questioned later.

Counterfactuals cost some hundred decisions. They are a pure function of the stored inputs, so they are computed when
somebody asks, not for every decision that nobody will ever look at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any, TypeVar

from orchestrator.engine.counterfactuals import Inputs, counterfactuals
from orchestrator.engine.serialise import counterfactual_json
from orchestrator.engine.types import Bounds, Conditions, Exposure, History, HostLoad, Subject, Switch

T = TypeVar("T")


class NotRestorable(ValueError):
    """The stored inputs are incomplete (an old row, or one written by hand)."""


def inputs_of(stored: Mapping[str, Any], now: datetime) -> Inputs:
    """What `decide` was given at `now`. Raises NotRestorable."""
    try:
        subject = {**stored["subject"], "bounds": Bounds(**stored["subject"]["bounds"])}
        subject["switch"] = Switch(subject["switch"])
        return Inputs(
            subject=_make(Subject, subject),
            conditions=_make(Conditions, stored["conditions"]),
            exposure=_make(Exposure, stored["exposure"]),
            load=_make(HostLoad, stored["load"]),
            history=_make(History, stored["history"]),
            now=now,
        )
    except (KeyError, TypeError, ValueError) as e:
        raise NotRestorable(f"The stored inputs are incomplete: {e!r}.") from e


def counterfactuals_of(stored: Mapping[str, Any], now: datetime) -> list[dict[str, Any]]:
    """The counterfactuals of the decision made from these inputs at `now`, as JSON values. Raises NotRestorable."""
    inputs = inputs_of(stored, now)
    return [counterfactual_json(item) for item in counterfactuals(*inputs, inputs.decide())]


def _make(kind: type[T], values: Mapping[str, Any]) -> T:
    times = {field.name for field in fields(kind) if "datetime" in str(field.type)}  # type: ignore[arg-type]
    return kind(**{name: _time(value) if name in times else value for name, value in values.items()})


def _time(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value)
