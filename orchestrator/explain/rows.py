"""The parts of a decision as display rows: factors, gates, counterfactuals, with translated labels and values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from orchestrator.explain import machine, reading
from orchestrator.explain.alternatives import alternatives


@dataclass(frozen=True, kw_only=True, slots=True)
class FactorText:
    """One term of the sum. `multiplier` is what it does to the interval; numbers are None when unknown."""

    code: str
    label: str
    value: float | None
    value_text: str
    threshold: float | None
    threshold_text: str
    contribution: float
    multiplier: float
    effect_text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class GateText:
    code: str
    label: str
    text: str
    value_text: str
    limit_text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CounterfactualText:
    code: str
    label: str
    text: str
    value: float | None
    needed: float | None
    action: str


def factor_label(code: str) -> str:
    return {
        "base": _("Base interval"),
        "volatility": _("Volatility"),
        "trend": _("Trend"),
        "session": _("Session activity"),
        "load": _("Machine load"),
        "exposure": _("Exposure"),
        "failures": _("Failures in a row"),
        "learned": _("Learned value of a run"),
        "bounds": _("Limits"),
        "dead_band": _("Steps and dead band"),
    }.get(code, code)


def factors(row: Any) -> list[FactorText]:
    """In the order of the sum."""
    return [_factor(row, item) for item in reading.items(row, "factors")]


def _factor(row: Any, item: Mapping[str, Any]) -> FactorText:
    code = str(item.get("code", ""))
    value, threshold = reading.number(item.get("value")), reading.number(item.get("threshold"))
    contribution = reading.number(item.get("contribution")) or 0.0
    label = factor_label(code)
    if code == "load" and (state := machine.scarcest(row)) is not None:
        label = _("%(label)s (%(resource)s)") % {
            "label": label,
            "resource": machine.resource_name(state.code),
        }
    return FactorText(
        code=code,
        label=label,
        value=value,
        value_text=_("unknown") if value is None else _factor_value(row, code, value, threshold),
        threshold=threshold,
        threshold_text="" if threshold is None else _factor_threshold(row, code, threshold),
        contribution=contribution,
        multiplier=math.exp(contribution) if code != "base" else 1.0,
        effect_text=_effect(code, contribution),
    )


def _factor_value(row: Any, code: str, value: float, threshold: float | None) -> str:
    if code in ("base", "bounds", "dead_band"):
        return reading.duration(value)
    if code == "load" and (state := machine.scarcest(row)) is not None:
        return machine.amount(state.code, value)
    if code == "exposure":
        # With a known stop the value is its distance, else the gross exposure.
        return (
            _("%(n)s sigma") % {"n": reading.plain(value)}
            if threshold is not None
            else reading.percent(value)
        )
    if code == "failures":
        return reading.plain(value, 0)
    if code == "learned":
        samples = reading.number(reading.inputs(row, "history").get("run_value_samples")) or 0.0
        return _("%(value)s (n = %(n)s)") % {"value": reading.plain(value, 2), "n": reading.plain(samples, 0)}
    return reading.plain(value, 2)


def _factor_threshold(row: Any, code: str, threshold: float) -> str:
    if code == "bounds":
        return reading.duration(threshold)
    if code == "dead_band":
        return f"± {reading.percent(math.expm1(threshold))}"
    if code == "exposure":
        return _("%(n)s sigma") % {"n": reading.plain(threshold)}
    if code == "load" and (state := machine.scarcest(row)) is not None:
        return machine.amount(state.code, threshold)
    if code == "volatility" and (note := reading.hysteresis(row, threshold)):
        return f"{reading.plain(threshold, 2)} ({note})"
    return reading.plain(threshold, 2)


def _effect(code: str, contribution: float) -> str:
    if code == "base":
        return ""
    change = math.expm1(contribution)
    if abs(change) < 0.005:
        return _("no effect")
    if change < 0:
        return _("shortens by %(percent)s") % {"percent": reading.percent(-change)}
    return _("lengthens by %(percent)s") % {"percent": reading.percent(change)}


def gate_label(code: str) -> str:
    return {
        "switch": _("Switch"),
        "quarantined": _("Quarantine"),
        "open_run": _("One run at a time"),
        "market_closed": _("Market hours"),
        "data_missing": _("Data present"),
        "data_stale": _("Data fresh"),
        "venue_down": _("Venue reachable"),
        "quota": _("Request budget"),
        "poison": _("Usable inputs"),
    }.get(code, code)


def closed_word(reason: str) -> str:
    return {
        "weekend": _("weekend"),
        "holiday": _("holiday"),
        "after_hours": _("after hours"),
        "early_close": _("early close"),
        "calendar_missing": _("its calendar is missing"),
    }.get(reason, reason.replace("_", " "))


def switch_word(position: str) -> str:
    return {"paused": _("paused"), "draining": _("draining"), "stopped": _("stopped")}.get(position, position)


def gates(row: Any) -> list[GateText]:
    """Those that held."""
    return [_gate(item) for item in reading.items(row, "gates")]


def _gate(item: Mapping[str, Any]) -> GateText:
    code, value, limit = str(item.get("code", "")), item.get("value"), item.get("limit")
    size, bound = reading.number(value), reading.number(limit)
    value_text = reading.plain(size) if size is not None else ""
    limit_text = reading.plain(bound) if bound is not None else ""
    if code in ("data_stale", "data_missing"):
        value_text = reading.duration(size) if size is not None else ""
        limit_text = reading.duration(bound) if bound is not None else ""
    elif code == "quota":
        value_text = reading.percent(size) if size is not None else ""
        limit_text = reading.percent(bound) if bound is not None else ""
    elif code == "market_closed":
        value_text = closed_word(str(value or ""))
    elif code == "switch":
        value_text = switch_word(str(value or ""))
    text = _gate_text(code, value_text, limit_text)
    return GateText(
        code=code, label=gate_label(code), text=text, value_text=value_text, limit_text=limit_text
    )


def _gate_text(code: str, value: str, limit: str) -> str:
    facts = {"value": value, "limit": limit}
    if code == "data_stale" and not value:
        return _("data is too old")
    if code == "market_closed":
        return _("market closed (%(value)s)") % facts if value else _("market closed")
    return {
        "switch": _("the switch is on %(value)s"),
        "quarantined": _("quarantined after %(value)s failures in a row"),
        "open_run": _("its last run is still open"),
        "data_missing": _("no market data"),
        "data_stale": _("data is %(value)s old, more than %(limit)s"),
        "venue_down": _("the venue is down"),
        "quota": _("the request budget is used up (%(value)s)"),
        "poison": _("its inputs cannot be used"),
    }.get(code, code) % facts


def input_label(code: str) -> str:
    """The input a counterfactual turns."""
    return {
        "volatility": _("volatility"),
        "trend": _("trend"),
        "session": _("session activity"),
        "move": _("price move in sigmas"),
        "data_age": _("age of the data"),
        "quota": _("used request budget"),
        "cpu": _("CPU"),
        "ram": _("memory"),
        "queue": _("waiting tasks"),
        "queue_age": _("age of the oldest waiting task"),
        "stop_distance": _("distance to the stop in sigmas"),
        "failures": _("failures in a row"),
        "learned": _("learned value of a run"),
        "switch": _("switch"),
        "quarantined": _("quarantine"),
        "open_run": _("open run"),
        "market_closed": _("market hours"),
        "venue_down": _("venue"),
    }.get(code, code)


def _input_text(code: str, value: float) -> str:
    if code in ("cpu", "ram", "quota"):
        return _("%(number)s %%") % {"number": reading.exact(value * 100)}
    if code in ("data_age", "queue_age"):
        return reading.duration(value)
    return reading.exact(value)


def counterfactuals(row: Any) -> list[CounterfactualText]:
    """What would have given another answer, changes of the action first."""
    action = str(reading.get(row, "action", ""))
    return [_counterfactual(item, action) for item in alternatives(row)]


def _counterfactual(item: Mapping[str, Any], action: str) -> CounterfactualText:
    code, other = str(item.get("code", "")), str(item.get("action", ""))
    value, needed = reading.number(item.get("value")), reading.number(item.get("needed"))
    if needed is None or value is None:
        condition = _flag_condition(code)
    else:
        facts = {
            "input": input_label(code),
            "needed": _input_text(code, needed),
            "value": _input_text(code, value),
        }
        if needed > value:
            condition = _("%(input)s were %(needed)s or higher (was %(value)s)") % facts
        else:
            condition = _("%(input)s were %(needed)s or lower (was %(value)s)") % facts
    interval = reading.number(item.get("interval_s"))
    return CounterfactualText(
        code=code,
        label=input_label(code),
        text=_outcome(other, action, interval, condition),
        value=value,
        needed=needed,
        action=other,
    )


def _flag_condition(code: str) -> str:
    return {
        "switch": _("the switch were on running"),
        "quarantined": _("it were not in quarantine"),
        "open_run": _("its last run had ended"),
        "market_closed": _("the market were open"),
        "venue_down": _("the venue were up"),
    }.get(code, input_label(code))


def _outcome(other: str, action: str, interval: float | None, condition: str) -> str:
    facts = {"if": condition, "interval": reading.duration(interval) if interval is not None else ""}
    if other == action and interval is not None:
        return _("Its interval would be %(interval)s if %(if)s.") % facts
    if other == "run":
        return _("Would run now if %(if)s.") % facts
    if other == "skip":
        return _("Would be skipped if %(if)s.") % facts
    if interval is not None:
        return _("Would wait (interval %(interval)s) if %(if)s.") % facts
    return _("Would wait if %(if)s.") % facts


def failures_text(count: int) -> str:
    return ngettext("%(n)s failure in a row", "%(n)s failures in a row", count) % {"n": count}
