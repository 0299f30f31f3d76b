"""Inputs for property tests: `any_*` may be garbage, `sane_*` is what a healthy system gives."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from orchestrator.engine.types import Bounds, Conditions, Exposure, History, HostLoad, Subject, Switch

NOW = datetime(2026, 3, 2, 14, 5, tzinfo=UTC)


def examples(count: int) -> settings:
    """The same examples in every run, and no verdict on the speed of a shared machine."""
    return settings(
        max_examples=count, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
    )


GARBAGE = st.sampled_from(
    [float("nan"), float("inf"), float("-inf"), 0.0, -0.0, 1e9, -1e9, 1e-300, 1e300, -1.0]
)


def number(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False)


def wild(low: float, high: float) -> st.SearchStrategy[float]:
    return number(low, high) | GARBAGE


def optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


def around_now(seconds: float) -> st.SearchStrategy[datetime]:
    return number(-seconds, seconds).map(lambda offset: NOW + timedelta(seconds=offset))


@st.composite
def bounds(draw: st.DrawFn) -> Bounds:
    base = draw(number(1, 90_000))
    return Bounds(min_s=base * draw(number(0.01, 1)), base_s=base, max_s=base * draw(number(1, 50)))


def subjects(**fixed: Any) -> st.SearchStrategy[Subject]:
    parts = {
        "key": st.just("toy"),
        "bounds": bounds(),
        "is_trading": st.booleans(),
        "switch": st.sampled_from([Switch.RUNNING, Switch.PAUSED]),
        "load_weight": number(0, 2),
        "priority": st.sampled_from([None, 1, 2, 3]),
    }
    return st.builds(Subject, **(parts | fixed))


def any_conditions(**fixed: Any) -> st.SearchStrategy[Conditions]:
    parts = {
        "is_open": st.booleans(),
        "closed_reason": st.sampled_from(["", "weekend", "holiday"]),
        "next_open_at": optional(around_now(200_000)),
        "session_activity": wild(0, 5),
        "last_edge_at": optional(around_now(10_000)),
        "volatility": optional(wild(0, 3)),
        "volatility_threshold": wild(0.05, 2),
        "volatility_reference": wild(0.05, 2),
        "trend": wild(-1, 1),
        "data_age_s": optional(wild(0, 1000)),
        "data_age_limit_s": optional(wild(1, 1000)),
        "move_sigmas": optional(wild(0, 5)),
        "band_sigmas": wild(0.1, 4),
        "venue_up": st.booleans(),
        "quota_used": wild(0, 1),
    }
    return st.builds(Conditions, **(parts | fixed))


def sane_conditions(**fixed: Any) -> st.SearchStrategy[Conditions]:
    """An open market with fresh data: no gate holds."""
    parts = {
        "session_activity": number(0, 4),
        "last_edge_at": optional(around_now(10_000)),
        "volatility": optional(number(0, 3)),
        "volatility_threshold": number(0.05, 2),
        "volatility_reference": number(0.05, 2),
        "trend": number(-1, 1),
        "data_age_s": number(0, 100),
        "data_age_limit_s": st.just(180.0),
        "move_sigmas": optional(number(0, 5)),
        "band_sigmas": number(0.5, 4),
        "quota_used": number(0, 0.99),
    }
    return st.builds(Conditions, **(parts | fixed))


def exposures(of: Any = number) -> st.SearchStrategy[Exposure]:
    return st.builds(
        Exposure,
        open_positions=st.integers(0, 5),
        exposure_ratio=of(0, 3),
        stop_distance_sigmas=optional(of(0, 8)),
    )


def loads(of: Any = number) -> st.SearchStrategy[HostLoad]:
    return st.builds(
        HostLoad,
        cpu=of(0, 1),
        ram=of(0, 1),
        queue_depth=st.integers(0, 10_000),
        queue_oldest_s=of(0, 1000),
        workers=st.integers(0, 8),
        shadow_price=of(0, 2),
    )


def histories(of: Any = number, **fixed: Any) -> st.SearchStrategy[History]:
    parts = {
        "last_run_at": optional(around_now(200_000)),
        "interval_s": optional(of(0.1, 100_000)),
        "consecutive_failures": st.integers(0, 3) | st.sampled_from([-1, 10**9]),
        "mean_duration_s": optional(of(0, 100)),
        "run_value": of(0.05, 20),
        "run_value_samples": st.integers(-1, 10_000),
        "manual_requested_at": st.none(),
    }
    return st.builds(History, **(parts | fixed))


def past(seconds: float = 200_000) -> st.SearchStrategy[datetime]:
    return number(0, seconds).map(lambda offset: NOW - timedelta(seconds=offset))
