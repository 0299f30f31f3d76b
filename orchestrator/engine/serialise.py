"""Engine values as JSON values and as columns of a decision row. NaN and infinity become null: JSON has neither."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from orchestrator.engine import RULE_VERSION
from orchestrator.engine.fold import fold_key
from orchestrator.engine.types import (
    Conditions,
    Counterfactual,
    Decision,
    Exposure,
    Factor,
    Gate,
    History,
    HostLoad,
    Subject,
)


def to_json(value: Any) -> Any:
    """`value` as dicts, lists, strings, finite numbers, booleans and None. Raises TypeError for anything unknown."""
    if value is None or (isinstance(value, (bool, int)) and not isinstance(value, Enum)):
        return value
    if isinstance(value, Enum):
        return to_json(value.value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Factor):
        return {name: to_json(item) for name, item in zip(Factor._fields, value, strict=True)}
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [to_json(item) for item in value]
    raise TypeError(f"{type(value).__name__} has no JSON form")


def factor_json(factor: Factor) -> dict[str, Any]:
    return {
        "code": factor.code,
        "value": to_json(factor.value),
        "threshold": to_json(factor.threshold),
        "contribution": to_json(factor.contribution),
    }


def gate_json(gate: Gate) -> dict[str, Any]:
    return {"code": gate.code, "value": to_json(gate.value), "limit": to_json(gate.limit)}


def counterfactual_json(item: Counterfactual) -> dict[str, Any]:
    return {
        "code": item.code,
        "value": to_json(item.value),
        "needed": to_json(item.needed),
        "action": item.action.value,
        "interval_s": to_json(item.interval_s),
    }


def inputs_json(
    subject: Subject, conditions: Conditions, exposure: Exposure, load: HostLoad, history: History
) -> dict[str, Any]:
    """Everything the engine saw, so that the decision can be explained and repeated."""
    return {
        "subject": to_json(subject),
        "conditions": to_json(conditions),
        "exposure": to_json(exposure),
        "load": to_json(load),
        "history": to_json(history),
    }


def decision_to_row(
    decision: Decision,
    *,
    subject: Subject,
    conditions: Conditions,
    exposure: Exposure,
    load: HostLoad,
    history: History,
    now: datetime,
) -> dict[str, Any]:
    """The columns of a stored decision except its workflow. Times stay datetimes; JSON columns hold JSON values."""
    return {
        "decided_at": now,
        "last_seen_at": now,
        "fold_count": 1,
        "fold_key": fold_key(decision),
        "action": decision.action.value,
        "cause": decision.cause.value if decision.cause is not None else "",
        "interval_before_s": decision.interval_before_s,
        "interval_after_s": decision.interval_s,
        "next_run_at": decision.next_run_at,
        "priority": decision.priority,
        "log_interval": decision.log_interval,
        "factors": [factor_json(factor) for factor in decision.factors],
        "gates": [gate_json(gate) for gate in decision.gates],
        "inputs": inputs_json(subject, conditions, exposure, load, history),
        "inputs_as_of": conditions.as_of,
        "data_age_s": to_json(conditions.data_age_s),
        "data_age_limit_s": to_json(conditions.data_age_limit_s),
        "rule_version": RULE_VERSION,
    }
