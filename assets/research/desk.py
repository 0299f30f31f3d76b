"""Where a strategy meets its account: what it may look at, and how its targets become orders.

Neutral about asset types: the apps above bring the strategy. A strategy sees closed bars only, and of every instrument
whether those are young enough to act on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from assets.markets import calendars, hub, reader, staleness, timeframes
from assets.markets.models import Instrument
from assets.markets.series import CandleSeries
from assets.markets.universe import DEMO_SUFFIX
from assets.quant import volatility as vol
from assets.research import trades
from assets.trading import selectors
from assets.trading.models import Account
from assets.trading.selectors import valuation
from assets.trading.services import execution
from assets.trading.targets import Target
from orchestrator.plugins import RunContext, StepResult
from tradingsite.foundation.errors import NotFound


@dataclass(frozen=True, kw_only=True, slots=True)
class Sight:
    """One instrument as a strategy sees it. `price` is the newest close, None when not fresh."""

    instrument: Instrument
    bars: CandleSeries
    bar_s: int
    scale: vol.Scale
    is_fresh: bool
    price: float | None
    quantity: Decimal
    cost: float  # of the open quantity, quote currency, signed

    @property
    def spread_bps(self) -> float:
        """Usual distance from bid to ask."""
        return 2.0 * self.instrument.half_spread_bps


@dataclass(frozen=True, kw_only=True, slots=True)
class Desk:
    """An account and its market at one instant. Sights by symbol, sorted."""

    account: Account
    now: datetime
    equity: float
    cash: float
    sights: Mapping[str, Sight]
    working: frozenset[str]  # symbols with an order that may still fill

    def calendar(self) -> calendars.Calendar | None:
        """The calendar of the instruments; None without any."""
        first = next(iter(self.sights.values()), None)
        return calendars.get(first.instrument.calendar) if first is not None else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Bars:
    """Which bars a strategy wants: `length`, or the stored one when that is longer. `limit` bars of them.

    `at_least` with `instead`: when fewer of `length` are there, bars of `instead` are used.
    """

    length: str
    limit: int
    at_least: int = 0
    instead: str = ""


def open_desk(asset_type: str, symbols: Iterable[str], bars: Bars, now: datetime) -> Desk:
    """Read everything a strategy of that type needs. Raises NotFound when the asset type has no account."""
    account = selectors.account_for(asset_type)
    wanted = {symbol.removesuffix(DEMO_SUFFIX) for symbol in symbols}
    active = hub.active_instruments(asset_type)
    rows = [row for row in active if not wanted or row.symbol.removesuffix(DEMO_SUFFIX) in wanted]
    book = valuation.load(account, now, rows)
    newest = hub.newest(rows, now)
    sights = {
        row.symbol: _sight(row, latest, bars, book.row(row.pk), now)
        for row in sorted(rows, key=lambda row: row.symbol)
        if (latest := newest[row.pk]) is not None
    }
    return Desk(
        account=account,
        now=now,
        equity=float(book.equity.equity),
        cash=float(book.equity.cash),
        sights=sights,
        working=trades.working_symbols(account.pk),
    )


def _sight(
    row: Instrument, latest: hub.Newest, bars: Bars, held: valuation.PositionRow | None, now: datetime
) -> Sight:
    stored_s = timeframes.seconds(latest.timeframe)
    name = bars.length if timeframes.seconds(bars.length) >= stored_s else latest.timeframe
    series = series_of(row, name, bars.limit, latest, now)
    if bars.instead and len(series) < bars.at_least and timeframes.seconds(bars.instead) >= stored_s:
        name, series = bars.instead, series_of(row, bars.instead, bars.limit, latest, now)
    is_fresh = hub.age_of(row, latest, now) <= staleness.limit_s(float(stored_s)) and len(series) > 0
    bar_s, days = timeframes.seconds(name), calendars.get(row.calendar).periods_per_year
    return Sight(
        instrument=row,
        bars=series,
        bar_s=bar_s,
        scale=vol.scale(bar_s=bar_s, trading_day_s=trading_day_s(row), days_per_year=days),
        is_fresh=is_fresh,
        price=_last_close(row, latest, now) if is_fresh else None,
        quantity=held.quantity if held is not None else Decimal(0),
        cost=float(held.cost) if held is not None else 0.0,
    )


def trading_day_s(row: Instrument) -> float:
    """Open seconds of an ordinary trading day."""
    return calendars.get(row.calendar).minutes_per_day * 60.0


def _last_close(row: Instrument, latest: hub.Newest, now: datetime) -> float | None:
    series = hub.series(row, latest.timeframe, end=now, limit=1)
    return float(series.close[-1]) if len(series) else None


_kept: dict[tuple[int, str, int], tuple[int, int, CandleSeries]] = {}


def series_of(row: Instrument, timeframe: str, limit: int, latest: hub.Newest, now: datetime) -> CandleSeries:
    """`hub.series`, kept until the next bar of that length can be complete: long bars are dear to compute from minutes.

    `latest` is the newest bar stored. Bars shorter than an hour are read anew each time.
    """
    length = timeframes.seconds(timeframe)
    if length < 3600:
        return hub.series(row, timeframe, end=now, limit=limit)
    key = (row.pk, timeframe, limit)
    # Long bars start at half hours on some calendars. Counted by the data, not by the clock: data may be late.
    slot = latest.close_ts // 1800
    generation = reader.generation()
    known = _kept.get(key)
    if known is None or known[:2] != (generation, slot):
        if len(_kept) > 1_000:
            _kept.clear()
        known = _kept[key] = (generation, slot, hub.series(row, timeframe, end=now, limit=limit))
    return known[2]


def forget() -> None:
    """Drop the series kept (tests that write other bars at the same times)."""
    _kept.clear()


def execute(ctx: RunContext, desk: Desk, targets: Sequence[Target]) -> StepResult:
    """Send targets to the account; those that change nothing are only reported."""
    acting = [target for target in targets if not _changes_nothing(target, desk)]
    report = execution.ExecutionReport()
    if acting:
        report = execution.execute_targets(ctx=ctx, account=desk.account, targets=acting, now=ctx.now)
    summary = {
        "targets": {target.symbol: describe(target) for target in targets},
        "orders": report.intents,
        "sent": report.sent,
        "denied": dict(report.denied),
        "ignored": dict(report.ignored),
    }
    return StepResult(changed=report.changed, summary=summary)


def _changes_nothing(target: Target, desk: Desk) -> bool:
    """It names the quantity held ("leave it alone"), or wants to be flat where nothing is held and no order works."""
    sight = desk.sights.get(target.symbol)
    if sight is None:
        return False
    if target.quantity is not None and target.quantity == sight.quantity:
        return True
    return target.closes and sight.quantity == 0 and target.symbol not in desk.working


def describe(target: Target) -> dict[str, Any]:
    """A target as JSON."""
    return {
        "weight": target.weight,
        "quantity": None if target.quantity is None else format(target.quantity, "f"),
        "reasons": [reason.as_json() for reason in target.reasons],
    }


def no_account(error: NotFound) -> StepResult:
    """A step that has nothing to trade with says so and changes nothing."""
    return StepResult(summary={"skipped": error.code, "detail": error.message})
