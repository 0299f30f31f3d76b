"""One sentence per decision: what, why with value against threshold, interval before and after, what is next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from django.utils.translation import gettext as _

from orchestrator.explain import machine, reading
from orchestrator.explain.rows import failures_text, gates

_NOTICEABLE = 0.02  # a term that changes the interval by less than 2 % is not worth a word


def sentence(row: Any) -> str:
    """E.g. "Ran now, 2 min after the last run (base 5 min): volatility 0.86 above 0.80, uptrend; CPU 34 % allows.
    Next check 14:07 UTC."."""
    decided_at = reading.moment(reading.get(row, "decided_at"))
    if str(reading.get(row, "action")) == "skip":
        return _skip(row, decided_at)
    terms = {str(item.get("code")): item for item in reading.items(row, "factors")}
    reasons = ", ".join(_reasons(row, terms))
    head, load = _head(row, terms, decided_at), _load(row, terms)
    if reasons and load:
        text = _("%(head)s: %(reasons)s; %(load)s.") % {"head": head, "reasons": reasons, "load": load}
    elif reasons or load:
        text = _("%(head)s: %(reasons)s.") % {"head": head, "reasons": reasons or load}
    else:
        text = _("%(head)s.") % {"head": head}
    return " ".join(part for part in (text, _interval(row), _next(row, decided_at)) if part)


def _skip(row: Any, decided_at: datetime | None) -> str:
    why = ", ".join(gate.text for gate in gates(row)) or _("a hard rule")
    until = reading.moment(reading.get(row, "next_run_at"))
    if until is not None:
        facts = {"why": why, "until": reading.clock_time(until, decided_at)}
        return _("Skipped: %(why)s until %(until)s.") % facts
    return _("Skipped: %(why)s. Looks again as soon as that changes.") % {"why": why}


def _head(row: Any, terms: Mapping[str, Mapping[str, Any]], decided_at: datetime | None) -> str:
    last = reading.moment(reading.inputs(row, "history").get("last_run_at"))
    base = reading.number(terms.get("base", {}).get("value"))
    is_run = str(reading.get(row, "action")) == "run"
    if last is None or decided_at is None or base is None:
        if reading.get(row, "cause") == "first":
            return _("Ran for the first time")
        return _("Ran now") if is_run else _("Waits")
    elapsed = max((decided_at - last).total_seconds(), 0.0)
    facts = {"elapsed": reading.duration(elapsed), "base": reading.duration(base)}
    if is_run:
        return _("Ran now, %(elapsed)s after the last run (base %(base)s)") % facts
    return _("Waits, %(elapsed)s after the last run (base %(base)s)") % facts


def _reasons(row: Any, terms: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """The event that caused the run, then the terms that moved the interval."""
    yield from _cause(row)
    if "volatility" in terms:
        yield _volatility(row, terms["volatility"])
    for code, say in _WORDS.items():
        contribution = reading.number(terms.get(code, {}).get("contribution")) or 0.0
        if abs(contribution) >= _NOTICEABLE:
            yield say(row, terms[code], contribution)


def _cause(row: Any) -> Iterator[str]:
    conditions, exposure = reading.inputs(row, "conditions"), reading.inputs(row, "exposure")
    cause = str(reading.get(row, "cause", ""))
    if cause == "price_band":
        move, band = (
            reading.number(conditions.get("move_sigmas")),
            reading.number(conditions.get("band_sigmas")),
        )
        if move is None or band is None:
            yield _("the price left its band")
        else:
            facts = dict(zip(("move", "band"), reading.pair(move, band), strict=True))
            yield _("the price moved %(move)s sigma, band %(band)s") % facts
    elif cause == "stop_near":
        distance = reading.number(exposure.get("stop_distance_sigmas"))
        if distance is None:
            yield _("a stop is near")
        else:
            yield _("a stop is %(distance)s sigma away") % {"distance": reading.plain(distance)}
    elif cause == "session_edge":
        session = str(conditions.get("session") or "")
        yield (
            _("session change (%(session)s)") % {"session": session}
            if session
            else _("a session opened or closed")
        )
    elif cause == "manual":
        yield _("somebody asked for it")
    elif cause == "retry":
        yield _("tried again after a failure")


def _volatility(row: Any, term: Mapping[str, Any]) -> str:
    value, threshold = reading.number(term.get("value")), reading.number(term.get("threshold"))
    if value is None:
        return _("volatility unknown, taken as ordinary")
    if threshold is None:
        return _("volatility %(value)s") % {"value": reading.plain(value, 2)}
    facts = dict(zip(("value", "threshold"), reading.pair(value, threshold), strict=True))
    if note := reading.hysteresis(row, threshold):
        facts["threshold"] += f" ({note})"
    if value > threshold:
        return _("volatility %(value)s above %(threshold)s") % facts
    return _("volatility %(value)s not above %(threshold)s") % facts


def _trend(row: Any, term: Mapping[str, Any], contribution: float) -> str:
    return _("uptrend") if (reading.number(term.get("value")) or 0.0) > 0 else _("downtrend")


def _session(row: Any, term: Mapping[str, Any], contribution: float) -> str:
    name = str(reading.inputs(row, "conditions").get("session") or "")
    if name:
        facts = {"session": name}
        return (
            _("busy session (%(session)s)") % facts
            if contribution < 0
            else _("quiet session (%(session)s)") % facts
        )
    return _("busy hour") if contribution < 0 else _("quiet hour")


def _exposure(row: Any, term: Mapping[str, Any], contribution: float) -> str:
    value, reach = reading.number(term.get("value")), reading.number(term.get("threshold"))
    if value is None:
        return _("a position is open")
    if reach is not None:
        return _("stop %(n)s sigma away") % {"n": reading.plain(value)}
    return _("exposure %(n)s of equity") % {"n": reading.percent(value)}


def _failures(row: Any, term: Mapping[str, Any], contribution: float) -> str:
    return failures_text(int(reading.number(term.get("value")) or 1))


def _learned(row: Any, term: Mapping[str, Any], contribution: float) -> str:
    facts = {"n": reading.plain(reading.number(term.get("value")) or 1.0, 2)}
    if contribution < 0:
        return _("past runs paid more than usual (%(n)s)") % facts
    return _("past runs paid less than usual (%(n)s)") % facts


def _bounds(row: Any, term: Mapping[str, Any], contribution: float) -> str:
    bound = reading.number(term.get("threshold"))
    facts = {"limit": reading.duration(bound if bound is not None else 0.0)}
    return _("at least %(limit)s") % facts if contribution > 0 else _("at most %(limit)s") % facts


_WORDS: Final = {
    "trend": _trend,
    "session": _session,
    "exposure": _exposure,
    "failures": _failures,
    "learned": _learned,
    "bounds": _bounds,
}


def _load(row: Any, terms: Mapping[str, Mapping[str, Any]]) -> str:
    """Whether the machine let it run at its pace."""
    state, term = machine.scarcest(row), terms.get("load")
    if state is None or term is None:
        return ""
    facts = {"resource": machine.resource_name(state.code), "value": machine.amount(state.code, state.value)}
    if (reading.number(term.get("contribution")) or 0.0) >= _NOTICEABLE:
        return _("%(resource)s %(value)s slows it down") % facts
    if state.ratio > 0.0 and reading.number(reading.inputs(row, "exposure").get("open_positions")):
        return _("%(resource)s %(value)s does not delay open positions") % facts
    return _("%(resource)s %(value)s allows") % facts


def _interval(row: Any) -> str:
    after = reading.number(reading.get(row, "interval_after_s", reading.get(row, "interval_s")))
    before = reading.number(reading.get(row, "interval_before_s"))
    if after is None:
        return ""
    if before is None or abs(after - before) < 0.005 * after:
        return _("Interval %(after)s.") % {"after": reading.duration(after)}
    return _("Interval %(before)s → %(after)s.") % {
        "before": reading.duration(before),
        "after": reading.duration(after),
    }


def _next(row: Any, decided_at: datetime | None) -> str:
    at = reading.moment(reading.get(row, "next_run_at"))
    if at is None:
        return ""
    facts = {"at": reading.clock_time(at, decided_at)}
    return _("Next check %(at)s.") % facts
