"""How much is at risk: one score per account with its parts, limits and how full they are, losses that are thinkable.

Historical simulation: what today's positions would have returned in each of the last hours (or longer bars), scaled to a
day by the root of time. Unknown is told as unknown and never counts as safe.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import numpy as np
from django.db.models import Count, OuterRef, Subquery
from django.utils.translation import gettext as _

from assets.markets import calendars, hub, timeframes
from assets.markets.models import Instrument
from assets.quant import protections, risk, trailing
from assets.quant.arrays import finite_or_none
from assets.trading.models import Account, LimitChange, Order, RiskPoint
from assets.trading.selectors import books, stops
from assets.trading.selectors.stops import StopRow
from assets.trading.services import limits, risk_facts

LEVEL: Final = 0.95
MARKET_FOR: Final = timedelta(minutes=15)
"""A point older than that says nothing of today."""

_BARS: Final = 300
_LIQUID_WITHIN_S: Final = 3600.0  # a position should be sold within an hour at a tenth of the volume
_PARTICIPATION: Final = 0.1
_SHORTFALL_ALLOWED: Final = 0.05  # of equity a day, where no daily loss limit says otherwise
_DRAWDOWN_ALLOWED: Final = 0.25


@dataclass(frozen=True, kw_only=True, slots=True)
class LimitUse:
    """One limit and how full it is. `used` and `limit` are ratios or counts; None: no limit, or not known. `stored` is the
    value as it is kept.
    """

    name: str
    label: str
    unit: str  # ratio, count, money, flag, text
    limit: Any
    used: float | None
    share: float | None  # 0 to 1 and above
    stored: Any

    @property
    def state(self) -> str:
        if self.share is None:
            return "none"
        return "full" if self.share >= 1.0 else "near" if self.share >= 0.8 else "ok"

    @property
    def percent(self) -> int:
        return 0 if self.share is None else min(100, round(100 * self.share))


@dataclass(frozen=True, kw_only=True, slots=True)
class LockRow:
    """A protection in force."""

    kind: str
    subject: str
    until: datetime
    value: float
    limit: float

    @property
    def words(self) -> str:
        return {
            "cooldown": _("rests after it was closed"), "stop_guard": _("too many stops were hit"),
            "max_drawdown": _("too much was lost"), "low_profit": _("it only lost lately"),
        }.get(self.kind, self.kind)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class StressRow:
    """What would be lost; `gain` over equity, `amount` in the account's currency."""

    name: str
    gain: float
    amount: Decimal


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountRisk:
    """One account. Ratios are fractions of equity; None is unknown."""

    pk: int
    account: str
    asset_type: str
    mode: str
    state: str
    currency: str
    equity: Decimal
    score: float
    parts: Mapping[str, float]
    unknown: tuple[str, ...]
    value_at_risk: float | None
    shortfall: float | None
    samples: int
    limits: tuple[LimitUse, ...]
    locks: tuple[LockRow, ...]
    stress: tuple[StressRow, ...]
    waiting: tuple[dict[str, Any], ...]

    @property
    def level(self) -> str:
        return "low" if self.score < 34 else "middle" if self.score < 67 else "high"

    @property
    def part_rows(self) -> list[tuple[str, str, int, bool]]:
        """Key, word, 0..100, whether it is a guess; the fullest first."""
        return sorted(
            ((key, part_words(key), round(value), key in self.unknown) for key, value in self.parts.items()),
            key=lambda row: -row[2],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Market:
    """What the market's history says of today's positions; None is not known."""

    value_at_risk: float | None
    shortfall: float | None
    samples: int
    exit_share: float | None
    regime: float | None


def part_words(key: str) -> str:
    """A part of the score in words."""
    return {
        "exposure": _("Exposure"), "drawdown": _("Drawdown"), "shortfall": _("Loss of a bad day"),
        "concentration": _("Concentration"), "liquidity": _("Getting out"), "volatility": _("Volatility"),
        "stops": _("Without a stop"),
    }.get(key, key)  # fmt: skip


def assess(now: datetime) -> tuple[AccountRisk, ...]:
    """Every account in use, in a fixed number of queries. What needs the market's history is as of the newest point."""
    return _all(now, books.all_books(now), lambda book: None)


def measure(now: datetime) -> tuple[tuple[AccountRisk, Market], ...]:
    """The same with the market's history read now: many queries, for the keeper of the risk history."""
    found = books.all_books(now)
    markets = {book.pk: _market(book, now) for book in found}
    rows = _all(now, found, lambda book: markets[book.pk])
    return tuple((row, markets[row.pk]) for row in rows)


def _all(
    now: datetime, found: tuple[books.AccountBook, ...], market: Callable[[books.AccountBook], Market | None]
) -> tuple[AccountRisk, ...]:
    kept = stops.open_stops()
    accounts = {book.pk: book.account for book in found}
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    today = Order.objects.filter(account_id__in=accounts, created_at__gte=midnight)
    counts = (
        today.exclude(status=Order.Status.DENIED).order_by().values_list("account_id").annotate(n=Count("pk"))
    )
    facts = _Facts(
        now=now, kept=kept, waiting=_waiting(accounts), locks=risk_facts.in_force_of(accounts.values(), now),
        orders=dict(counts), markets=_newest_markets(accounts, now),
    )  # fmt: skip
    return tuple(_assess(book, accounts[book.pk], market(book), facts) for book in found)


@dataclass(frozen=True, slots=True)
class _Facts:
    """What was read once for all accounts."""

    now: datetime
    kept: Mapping[tuple[int, int], StopRow]
    waiting: Mapping[int, tuple[dict[str, Any], ...]]
    locks: Mapping[int, tuple[protections.Lock, ...]]
    orders: Mapping[int, int]
    markets: Mapping[int, Market]


def _waiting(accounts: Iterable[int]) -> dict[int, tuple[dict[str, Any], ...]]:
    found: dict[int, tuple[dict[str, Any], ...]] = {}
    for row in LimitChange.objects.filter(status=LimitChange.Status.WAITING, account_id__in=list(accounts)):
        label = str(limits.BY_NAME[row.field].label)
        told = {
            "pk": row.pk, "field": row.field, "label": label, "after": row.after, "effective_at": row.effective_at
        }  # fmt: skip
        found[row.account_id] = (*found.get(row.account_id, ()), told)
    return found


def _newest_markets(accounts: Iterable[int], now: datetime) -> dict[int, Market]:
    newest = (
        RiskPoint.objects.filter(account=OuterRef("account"), at__lte=now).order_by("-at").values("pk")[:1]
    )
    rows = RiskPoint.objects.filter(
        account_id__in=list(accounts), at__gt=now - MARKET_FOR, pk=Subquery(newest)
    )
    return {
        row.account_id: Market(
            value_at_risk=row.value_at_risk, shortfall=row.shortfall, samples=row.samples,
            exit_share=row.exit_share, regime=row.regime,
        )
        for row in rows
    }  # fmt: skip


def _market(book: books.AccountBook, now: datetime) -> Market:
    equity = float(book.equity.equity)
    rows = {row.instrument_id: hub.by_id(row.instrument_id) for row in book.open_rows}
    daily, samples = _daily_losses(book, rows, equity, now)
    return Market(
        value_at_risk=finite_or_none(risk.value_at_risk(daily, LEVEL)),
        shortfall=finite_or_none(risk.expected_shortfall(daily, LEVEL)),
        samples=samples, exit_share=_exit_share(book, rows, now), regime=_regime(rows, now),
    )  # fmt: skip


_NOTHING_HELD: Final = Market(value_at_risk=None, shortfall=None, samples=0, exit_share=0.0, regime=1.0)
_NOT_KNOWN: Final = Market(value_at_risk=None, shortfall=None, samples=0, exit_share=None, regime=None)


def _assess(book: books.AccountBook, account: Account, market: Market | None, facts: _Facts) -> AccountRisk:
    equity = float(book.equity.equity)
    held = _held(book, facts.kept, equity)
    gross = sum(abs(one.weight) for one in held) if equity > 0 else None
    market = market or facts.markets.get(book.pk) or (_NOT_KNOWN if held else _NOTHING_HELD)
    score = risk.score(
        risk.RiskFacts(
            gross=gross, max_gross=account.max_leverage, drawdown=book.equity.drawdown,
            max_drawdown=account.max_drawdown_ratio or _DRAWDOWN_ALLOWED, shortfall=market.shortfall,
            max_shortfall=account.max_daily_loss_ratio or _SHORTFALL_ALLOWED,
            concentration=risk.concentration([one.weight for one in held]) if held else 0.0,
            exit_share=market.exit_share, regime=market.regime, without_stop=_without_stop(held),
        )
    )  # fmt: skip
    return AccountRisk(
        pk=book.pk, account=book.name, asset_type=book.asset_type, mode=book.mode, state=book.state,
        currency=book.currency, equity=book.equity.equity, score=score.value, parts=score.parts, unknown=score.unknown,
        value_at_risk=market.value_at_risk, shortfall=market.shortfall, samples=market.samples,
        limits=_uses(book, account, gross, facts.orders.get(book.pk, 0)), locks=_locks(facts.locks[book.pk]),
        stress=_stress(book, held, market.value_at_risk), waiting=facts.waiting.get(book.pk, ()),
    )  # fmt: skip


def _held(book: books.AccountBook, kept: Mapping[tuple[int, int], StopRow], equity: float) -> list[risk.Held]:
    found = []
    for row in book.open_rows:
        # Without a price or a rate a position counts at its cost: not knowing is no reason to leave it out.
        value = row.value_in_currency if row.value_in_currency is not None else row.cost
        stop, price = kept.get((row.account_id, row.instrument_id)), row.price or row.average_price
        distance = None
        if stop is not None and stop.acts and price:
            distance = abs(float(price) - stop.level) / float(price)
        found.append(risk.Held(row.symbol, float(value) / equity if equity > 0 else math.nan, distance))
    return [one for one in found if math.isfinite(one.weight)]


def _daily_losses(
    book: books.AccountBook, rows: Mapping[int, Instrument], equity: float, now: datetime
) -> tuple[np.ndarray, int]:
    """Returns of today's positions per past period, scaled to a day; aligned on the instants all of them have."""
    if not rows or equity <= 0:
        return np.empty(0), 0
    moves = {row.symbol: (risk_facts.moves(row, now), row) for row in rows.values()}
    common = sorted(set.intersection(*(set(found) for (found, _bar_s), _row in moves.values())))
    if not common:
        return np.empty(0), 0
    weights = {
        row.symbol: float(row.value_in_currency or 0) / equity
        for row in book.open_rows
        if row.symbol in moves
    }
    bar_s = max(bar_s for (_found, bar_s), _row in moves.values())
    first = next(iter(rows.values()))
    day_s = calendars.get(first.calendar).minutes_per_day * 60.0
    series = {name: [found[ts] for ts in common] for name, ((found, _s), _row) in moves.items()}
    return risk.portfolio_returns(weights, series) * math.sqrt(max(day_s / bar_s, 1.0)), len(common)


def _exit_share(book: books.AccountBook, rows: Mapping[int, Instrument], now: datetime) -> float | None:
    """The largest share of an hour's volume (at a tenth of it) that a position would take; None: volume not known."""
    shares = []
    for held in book.open_rows:
        row = rows[held.instrument_id]
        newest = hub.newest([row], now)[row.pk]
        if newest is None:
            return None
        bar_s = timeframes.seconds(newest.timeframe)
        series = hub.series(row, newest.timeframe, end=now, limit=max(1, min(_BARS, round(4 * 3600 / bar_s))))
        hourly = float(np.median(series.volume)) * _LIQUID_WITHIN_S / bar_s if len(series) else 0.0
        if hourly <= 0.0:
            continue  # quotes without volume (forex): the market is deeper than any paper account
        shares.append(abs(float(held.quantity)) / (hourly * _PARTICIPATION))
    return max(shares, default=0.0)


def _regime(rows: Mapping[int, Instrument], now: datetime) -> float | None:
    """The liveliest of the held instruments against its own usual level."""
    found = []
    for row in rows.values():
        newest = hub.newest([row], now)[row.pk]
        if newest is None:
            return None
        series = hub.series(row, newest.timeframe, end=now, limit=trailing.USUAL_BARS)
        noise = trailing.noise(series.high, series.low, series.close, timeframes.seconds(newest.timeframe))
        found.append(noise.regime)
    worst = max(found, default=1.0)
    return worst if math.isfinite(worst) else None


def _without_stop(held: Sequence[risk.Held]) -> float | None:
    gross = sum(abs(one.weight) for one in held)
    return sum(abs(one.weight) for one in held if one.stop_distance is None) / gross if gross else 0.0


def _uses(
    book: books.AccountBook, account: Account, gross: float | None, orders: int
) -> tuple[LimitUse, ...]:
    equity = float(book.equity.equity)
    largest = max((abs(float(row.value_in_currency or 0)) for row in book.open_rows), default=0.0)
    today = book.today_ratio
    used: dict[str, float | None] = {
        "max_position_ratio": largest / equity if equity > 0 else None,
        "max_leverage": gross,
        "max_daily_loss_ratio": None if today is None else max(0.0, -float(today)),
        "max_drawdown_ratio": book.equity.drawdown,
        "max_orders_per_day": float(orders),
    }
    rows = []
    for field in limits.FIELDS:
        value = getattr(account, field.name)
        bound = field.kind in ("ratio", "count") and math.isfinite(field.rank(value))
        now_used = used.get(field.name)
        share = now_used / float(value) if bound and now_used is not None and float(value) > 0 else None
        rows.append(
            LimitUse(
                name=field.name, label=str(field.label), unit=field.kind, used=now_used, share=share, stored=value,
                limit=value if bound or field.kind in ("money", "flag", "symbols") and value else None,
            )
        )  # fmt: skip
    return tuple(rows)


def _locks(found: Iterable[protections.Lock]) -> tuple[LockRow, ...]:
    return tuple(
        LockRow(
            kind=lock.kind, subject=lock.subject, until=datetime.fromtimestamp(lock.until_s, UTC), value=lock.value,
            limit=lock.limit,
        )
        for lock in found
    )  # fmt: skip


def _stress(book: books.AccountBook, held: Sequence[risk.Held], var: float | None) -> tuple[StressRow, ...]:
    cases = [
        (_("All prices fall by 10 %"), risk.shock(held, -0.10)),
        (_("All prices fall by 20 %"), risk.shock(held, -0.20)),
        (_("All prices rise by 10 %"), risk.shock(held, 0.10)),
        (_("The largest position moves against us by half"), risk.worst_single(held, 0.5)),
        (_("Every stop is hit, each exit 2 % worse"), risk.all_stops(held, 0.02, 0.25)),
    ]
    if var is not None:
        cases.append((_("A bad day (1 in 20) at twice the volatility"), -2.0 * var))
    equity = book.equity.equity
    return tuple(
        StressRow(name=name, gain=gain, amount=equity * Decimal(repr(round(gain, 12))))
        for name, gain in cases
    )
