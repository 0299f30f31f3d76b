"""Values that cross the border of the engine. All frozen, all times aware UTC, all intervals in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, TypeAlias

Json: TypeAlias = Mapping[str, Any]


class Action(StrEnum):
    """What the engine says about one workflow at one instant."""

    RUN = "run"  # a run is worth its cost now
    WAIT = "wait"  # not yet: the next run is due at `next_run_at`
    SKIP = "skip"  # a hard gate holds: nothing may run until it opens


class Cause(StrEnum):
    """Why a run is planned."""

    CADENCE = "cadence"
    PRICE_BAND = "price_band"
    SESSION_EDGE = "session_edge"
    STOP_NEAR = "stop_near"
    MANUAL = "manual"
    RETRY = "retry"
    FIRST = "first"


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """Cadence bounds in seconds. 0 < min <= base <= max."""

    min_s: float
    base_s: float
    max_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Conditions:
    """What a workflow type sees of its market at `now`. `None` always means unknown, never zero."""

    as_of: datetime | None = None  # time of the newest input
    is_open: bool = True
    closed_reason: str = ""  # machine word: weekend, holiday, after_hours ...
    next_open_at: datetime | None = None
    session: str = ""  # name of the running session, for display
    session_activity: float = 1.0  # >= 0, 1 is an ordinary hour
    last_edge_at: datetime | None = None  # newest session open or close at or before now
    volatility: float | None = None  # annualised, 0.8 = 80 %
    volatility_threshold: float = 0.8  # above it the cadence goes to its minimum
    volatility_reference: float = 0.4  # level at which the base interval is right
    trend: float = 0.0  # -1 .. +1, strength with sign
    data_age_s: float | None = None  # age of the newest closed bar, from bar time
    data_age_limit_s: float | None = None  # None = this workflow needs no market data
    move_sigmas: float | None = None  # |price move since the last run| in sigmas of the base interval
    band_sigmas: float = 2.0  # leaving this band is a trigger
    venue_up: bool = True
    quota_used: float = 0.0  # 0..1 of the venue's request budget
    detail: Json = field(default_factory=dict)  # strings and numbers kept with the decision


@dataclass(frozen=True, kw_only=True, slots=True)
class Exposure:
    """What is at stake. Exposure may shorten an interval, never lengthen it."""

    open_positions: int = 0
    exposure_ratio: float = 0.0  # gross exposure / equity, >= 0
    stop_distance_sigmas: float | None = None  # nearest stop, in sigmas of the base interval


@dataclass(frozen=True, kw_only=True, slots=True)
class HostLoad:
    """The machine. Ratios 0..1."""

    cpu: float = 0.0
    ram: float = 0.0
    queue_depth: int = 0
    queue_oldest_s: float = 0.0
    workers: int = 1
    shadow_price: float = 0.0  # log stretch that keeps all workflows within capacity (engine.capacity), >= 0


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """What happened to this workflow so far."""

    last_run_at: datetime | None = None  # start of the newest run that was not skipped
    interval_s: float | None = None  # interval in force since then (for the dead band)
    was_hot: bool | None = None  # engine.cadence.is_hot of the decision before; None = read from interval_s
    consecutive_failures: int = 0
    quarantined_until: datetime | None = None
    mean_duration_s: float | None = None
    run_value: float = 1.0  # learned value of a run relative to the prior, > 0
    run_value_samples: int = 0
    manual_requested_at: datetime | None = None
    open_run: bool = False  # a run is planned, queued or running


class Switch(StrEnum):
    """The position of the one switch of the system, or of one workflow."""

    RUNNING = "running"
    PAUSED = "paused"  # no new entries; exits, stops and analysis go on
    DRAINING = "draining"  # nothing new starts, running work may finish
    STOPPED = "stopped"


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """One workflow to decide about."""

    key: str
    bounds: Bounds
    is_trading: bool  # trading workflows are never delayed by load once they hold a position
    switch: Switch = Switch.RUNNING
    load_weight: float = 1.0  # how strongly machine load delays this workflow (research > trading)
    priority: int | None = None  # 1..3 from the type; None: 2 for trading, 3 for the rest


class Factor(NamedTuple):
    """One term of the sum. `contribution` is in log seconds: interval = exp(sum of contributions).

    A named tuple and not a dataclass: ten are made per decision, and measured on CPython 3.11 a frozen slots dataclass
    costs 1.0 us to make, this 0.3 us.
    """

    code: str  # base, volatility, trend, session, load, exposure, failures, learned, bounds, dead_band
    value: float | None  # the input as measured
    threshold: float | None
    contribution: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Gate:
    """A hard rule. A gate that holds ends in a skip whatever the factors say."""

    code: str  # switch, quarantined, open_run, market_closed, data_missing, data_stale, venue_down, quota, poison
    holds: bool
    value: str | float | None = None
    limit: str | float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Counterfactual:
    """The smallest change of one input that changes the action (or the interval by a step)."""

    code: str
    value: float | None
    needed: float | None
    action: Action
    interval_s: float | None = None  # the interval after the change


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """The engine's answer. `log_interval` equals the sum of all contributions to 1e-9."""

    action: Action
    cause: Cause | None  # set when action is RUN
    interval_s: float
    interval_before_s: float | None
    next_run_at: (
        datetime | None
    )  # RUN: the run after this one (this one's slot is now); None: gate with no known end
    priority: int  # 1 high .. 3 low
    log_interval: float
    factors: tuple[Factor, ...]
    gates: tuple[Gate, ...]  # those that hold; empty when none does
