"""What a trading workflow sees of its market: `Conditions` for all workflows of a type, in few queries.

* Volatility is that of the most nervous instrument ("max") or a weighted mean ("mean"), as the asset type chooses: a
  workflow that trades single coins must be as quick as its wildest coin, one that holds a portfolio as the portfolio.
* The move since the last run is the largest of all instruments, in sigmas of the workflow's base interval.
* The age of the data is that of the freshest instrument: one silent fund must not stop the others. Strategies leave an
  instrument alone whose own data is old. Time in which the market is closed does not age data, so that yesterday's
  daily bar is fresh today; more than two bars are stale.

Nothing here writes, calls the network, or raises for one bad workflow: what is unknown is None.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from assets.markets import calendars, hub, ratelimit, reader, staleness
from assets.markets.models import Instrument
from assets.markets.universe import DEMO_SUFFIX
from assets.research import readings
from assets.research.exposure import Stakes
from assets.research.readings import Reading
from orchestrator.engine.types import Conditions, Exposure
from orchestrator.plugins import WorkflowView

Combine = Literal["max", "mean"]
Weights = Callable[[tuple[str, ...]], Mapping[str, float]]
_UNKNOWN_LIMIT_S = 120.0  # asked of a market that has no bar at all
_MEMO_LIMIT = 50_000
_QUOTA_FOR_S = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Market:
    """The calendars of a group at one instant."""

    is_open: bool
    closed_reason: str
    next_open_at: datetime | None
    session: str
    activity: float
    last_edge_at: datetime | None


@dataclass(kw_only=True, slots=True, eq=False)
class _Group:
    """Workflows that watch the same instruments share this, until one of them closes a bar."""

    rows: tuple[Instrument, ...]
    known: tuple[tuple[Instrument, Reading], ...]
    volatility: float | None
    trend: float
    freshest: Reading | None
    detail: Mapping[str, Any]
    moves: dict[tuple[int, datetime, float], float | None] = field(default_factory=dict)


@dataclass(kw_only=True, slots=True, eq=False)
class Watch:
    """How one asset type looks at its market. `observe` and `exposure` are what its `WorkflowType` registers.

    `reference` is the annualised volatility at which the base interval is right. The parameters
    `volatility_threshold` and `band_sigmas` of a workflow win over the defaults here.

    `settle_param` names a parameter in minutes: for so long after an opening the market counts as still closed, because
    nothing would be traded yet and a run at the bell would be wasted (markets without sessions inside the day only).
    """

    asset_type: str
    reference: float
    threshold: float
    band_sigmas: float = 2.0
    combine: Combine = "max"
    weights: Weights | None = None
    settle_param: str = ""
    settle_min: float = 0.0  # without the parameter
    _groups: dict[tuple[str, ...], _Group] = field(default_factory=dict)
    _stakes: Stakes | None = None
    _quotas: dict[str, tuple[datetime, float]] = field(default_factory=dict)

    def observe(self, workflows: Sequence[WorkflowView], now: datetime) -> Mapping[int, Conditions]:
        """Conditions by workflow pk, for every workflow asked."""
        rows = readings.active(self.asset_type, now)
        found = readings.read(rows, now)
        groups: dict[tuple[str, ...], tuple[_Group, _Market, float | None, float]] = {}
        answer = {}
        for workflow in workflows:
            wanted = tuple(workflow.params.get("symbols") or ())
            if wanted not in groups:
                group = self._group(wanted, rows, found)
                groups[wanted] = (
                    group,
                    _market(group.rows, now),
                    _age_s(group, now),
                    self._quota(group.rows, now),
                )
            group, market, age_s, quota = groups[wanted]
            if self.settle_param:
                market = _settled(market, float(workflow.params.get(self.settle_param, self.settle_min)), now)
            answer[workflow.pk] = self._conditions(workflow, group, market, age_s, quota)
        return answer

    def exposure(self, workflows: Sequence[WorkflowView], now: datetime) -> Mapping[int, Exposure]:
        """What is at stake, by workflow pk: the paper or live account of the asset type, one answer per symbol list."""
        if self._stakes is None:
            self._stakes = Stakes(self.asset_type)
        return self._stakes.of(workflows, now)

    def _quota(self, rows: tuple[Instrument, ...], now: datetime) -> float:
        """The fullest request budget of the venues involved, 0..1, as of a few seconds ago.

        Bars from memory (a replay) cost no venue anything.
        """
        if reader.is_preloaded():
            return 0.0
        fullest = 0.0
        for venue in {row.venue for row in rows if not row.is_demo}:
            known = self._quotas.get(venue)
            if known is None or not 0.0 <= (now - known[0]).total_seconds() < _QUOTA_FOR_S:
                known = self._quotas[venue] = (now, ratelimit.used_ratio(venue, now))
            fullest = max(fullest, known[1])
        return fullest

    def _conditions(
        self, workflow: WorkflowView, group: _Group, market: _Market, age_s: float | None, quota: float
    ) -> Conditions:
        freshest, params = group.freshest, workflow.params
        return Conditions(
            as_of=freshest.closed_at if freshest is not None else None,
            is_open=market.is_open,
            closed_reason=market.closed_reason,
            next_open_at=market.next_open_at,
            session=market.session,
            session_activity=market.activity,
            last_edge_at=market.last_edge_at,
            volatility=group.volatility,
            volatility_threshold=float(params.get("volatility_threshold", self.threshold)),
            volatility_reference=self.reference,
            trend=group.trend,
            data_age_s=age_s,
            data_age_limit_s=_UNKNOWN_LIMIT_S
            if freshest is None
            else staleness.limit_s(float(freshest.bar_s)),
            move_sigmas=_move(workflow, group),
            band_sigmas=float(params.get("band_sigmas", self.band_sigmas)),
            quota_used=quota,
            detail=group.detail,
        )

    def _group(
        self, wanted: tuple[str, ...], rows: Sequence[Instrument], found: Mapping[int, Reading | None]
    ) -> _Group:
        """The group kept from before when all its readings are the same objects, else a new one."""
        bare = frozenset(symbol.removesuffix(DEMO_SUFFIX) for symbol in wanted)
        chosen = tuple(row for row in rows if not wanted or row.symbol.removesuffix(DEMO_SUFFIX) in bare)
        known = tuple((row, reading) for row in chosen if (reading := found[row.pk]) is not None)
        kept = self._groups.get(wanted)
        if (
            kept is not None
            and len(kept.known) == len(known)
            and len(kept.rows) == len(chosen)
            and all(a[1] is b[1] for a, b in zip(kept.known, known, strict=True))
        ):
            return kept
        made = self._make(chosen, known)
        if len(self._groups) > _MEMO_LIMIT:
            self._groups.clear()
        self._groups[wanted] = made
        return made

    def _make(self, chosen: tuple[Instrument, ...], known: tuple[tuple[Instrument, Reading], ...]) -> _Group:
        measured = [reading for _row, reading in known if math.isfinite(reading.volatility)]
        leader = max(measured, key=lambda reading: reading.volatility, default=None)
        trends = [reading for reading in measured if math.isfinite(reading.trend)]
        strongest = max(trends, key=lambda reading: abs(reading.trend), default=None)
        freshest = max((r for _row, r in known), key=lambda reading: reading.latest.close_ts, default=None)
        return _Group(
            rows=chosen,
            known=known,
            volatility=self._volatility(measured),
            trend=self._mean({r.symbol: r.trend for r in trends}) if self.combine == "mean" else (
                strongest.trend if strongest is not None else 0.0
            ),
            freshest=freshest,
            detail={
                "instruments": len(chosen),
                "with_data": len(known),
                "leader": leader.symbol if leader is not None else "",
                "leader_volatility": round(leader.volatility, 6) if leader is not None else None,
                "timeframe": freshest.latest.timeframe if freshest is not None else "",
            },
        )  # fmt: skip

    def _volatility(self, measured: Sequence[Reading]) -> float | None:
        if not measured:
            return None
        if self.combine == "max":
            return max(reading.volatility for reading in measured)
        return self._mean({reading.symbol: reading.volatility for reading in measured})

    def _mean(self, values: Mapping[str, float]) -> float:
        """Weighted by the asset type's own weights where it has some; 0.0 of nothing."""
        weights = self.weights(tuple(values)) if self.weights is not None else dict.fromkeys(values, 1.0)
        total = sum(weights.get(symbol, 0.0) for symbol in values)
        return (
            sum(value * weights.get(symbol, 0.0) for symbol, value in values.items()) / total
            if total > 0
            else 0.0
        )


def _market(rows: tuple[Instrument, ...], now: datetime) -> _Market:
    """Open when one of the calendars is; an unknown calendar is a closed one."""
    views = [_calendar(key, now) for key in dict.fromkeys(row.calendar for row in rows)]
    if not views:
        return _Market(
            is_open=True, closed_reason="", next_open_at=None, session="", activity=1.0, last_edge_at=None
        )
    open_ones = [view for view in views if view.is_open]
    best = max(open_ones or views, key=lambda view: view.activity)
    return _Market(
        is_open=bool(open_ones),
        closed_reason="" if open_ones else best.closed_reason,
        next_open_at=min((v.next_open_at for v in views if v.next_open_at is not None), default=None),
        session=best.session,
        activity=best.activity,
        last_edge_at=max((v.last_edge_at for v in views if v.last_edge_at is not None), default=None),
    )


def _calendar(key: str, now: datetime) -> _Market:
    try:
        calendar = calendars.get(key)
    except calendars.CalendarMissing:
        return _Market(
            is_open=False, closed_reason="calendar_missing", next_open_at=None, session="", activity=0.0,
            last_edge_at=None,
        )  # fmt: skip
    return _Market(
        is_open=calendar.is_open(now),
        closed_reason=calendar.closed_reason(now),
        next_open_at=calendar.next_open(now),
        session=calendar.session(now),
        activity=calendar.activity(now),
        last_edge_at=calendar.last_edge(now),
    )


def _settled(market: _Market, minutes: float, now: datetime) -> _Market:
    """The market with its openings put off by so many minutes."""
    if minutes <= 0.0:
        return market
    wait = timedelta(minutes=minutes)
    if not market.is_open:
        opens = market.next_open_at
        return replace(market, next_open_at=None if opens is None else opens + wait)
    if market.last_edge_at is None:
        return market
    settled_at = market.last_edge_at + wait
    if now < settled_at:
        return replace(market, is_open=False, closed_reason="opening", next_open_at=settled_at)
    return replace(market, last_edge_at=settled_at)


def _age_s(group: _Group, now: datetime) -> float | None:
    """Open seconds since the freshest instrument's newest bar closed."""
    if group.freshest is None:
        return None
    row = next(row for row, reading in group.known if reading is group.freshest)
    return hub.age_of(row, group.freshest.latest, now)


def _move(workflow: WorkflowView, group: _Group) -> float | None:
    """Largest move since the last run, in sigmas of the base interval. None: never ran, or nothing known."""
    since = workflow.last_run_at
    if since is None:
        return None
    key = (workflow.pk, since, workflow.base_interval_s)
    if key not in group.moves:
        if len(group.moves) > _MEMO_LIMIT:
            group.moves.clear()
        group.moves[key] = _largest_move(group, since, workflow.base_interval_s)
    return group.moves[key]


def _largest_move(group: _Group, since: datetime, base_s: float) -> float | None:
    largest: float | None = None
    for row, reading in group.known:
        sigma = reading.sigma(base_s)
        move = readings.log_move(reading, row, since)
        if move is None or not sigma > 0.0:
            continue
        largest = max(largest or 0.0, move / sigma)
    return largest
