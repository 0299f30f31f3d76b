"""What the gate must know before anything is entered: losses of the day, drawdown, the other accounts, what moves together,
and what is locked. Read only when an entry is wanted; exits never wait for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

import numpy as np

from assets.markets import hub, timeframes
from assets.markets.models import Instrument
from assets.quant import metrics, protections
from assets.quant.protections import ClosedTrade, Lock
from assets.trading import registry
from assets.trading.models import Account, EquityPoint, ProtectionRelease
from assets.trading.rates import Rates
from assets.trading.selectors import valuation
from assets.trading.services import gate
from tradingsite.foundation import statements
from tradingsite.foundation.money import to_decimal

ZERO: Final = Decimal(0)
ALIKE: Final = 0.7
"""From this correlation of hourly moves on, either way, two instruments are one bet."""

MIN_SAMPLES: Final = 30
_HOURS: Final = 240


def add(
    standing: gate.Standing,
    account: Account,
    wanted: Iterable[Instrument],
    book: valuation.Book,
    now: datetime,
) -> None:
    """Complete `standing` for entries into `wanted`. Unknown counts as the worse case."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    ((standing.orders_today,),) = statements.rows(
        _ORDERS_SINCE, (account.pk, statements.time_param(midnight))
    )
    standing.day_gain = _day_gain(account, book.equity.equity, midnight)
    standing.drawdown = Decimal(repr(book.equity.drawdown))
    rows = {row.pk: row for row in wanted}
    if standing.limits.max_total_ratio:
        standing.others = _others(account, book.rates)
    if standing.limits.max_correlated_ratio:
        standing.alike = alike(rows, standing.exposure, now)
    standing.locks = _by_instrument(in_force(account, now), rows.values())


# Plain SQL: every entry waits for these, and building a queryset costs more than running it.
_ORDERS_SINCE: Final = (
    "SELECT COUNT(*) FROM trading_order WHERE account_id = %s AND created_at >= %s AND status <> 'denied'"
)
_OTHERS: Final = (
    "SELECT a.currency, a.opening_balance, "
    "(SELECT e.id FROM trading_equitypoint e WHERE e.account_id = a.id ORDER BY e.at DESC LIMIT 1) "
    "FROM trading_account a WHERE a.id <> %s AND a.mode = %s AND a.is_demo = %s"
)


def _day_gain(account: Account, equity: Decimal, midnight: datetime) -> Decimal | None:
    """Profit since midnight over the equity then; the opening balance on the first day."""
    at = statements.time_param(midnight)
    before = "WHERE account_id = %s AND at <= %s ORDER BY at DESC LIMIT 1"
    found = statements.values(EquityPoint, ("equity",), before, (account.pk, at))
    if not found:
        first = "WHERE account_id = %s ORDER BY at LIMIT 1"
        found = statements.values(EquityPoint, ("equity",), first, (account.pk,))
    start: Decimal = found[0][0] if found else account.opening_balance
    return (equity - start) / start if start > 0 else None


def _others(account: Account, rates: Rates) -> gate.Others:
    """The other accounts of the same mode and world, as of their newest equity points (a minute old at most in real time).

    One whose currency cannot be converted counts as equity 0.
    """
    equity = exposure = ZERO
    newest: dict[int, str] = {}
    for currency, opening, point in statements.rows(_OTHERS, (account.pk, account.mode, account.is_demo)):
        if point is not None:
            newest[point] = currency
        elif (rate := rates.rate(currency)) is not None:
            equity += to_decimal(opening) * rate
    if newest:
        marks = ", ".join(["%s"] * len(newest))
        points = statements.values(
            EquityPoint, ("pk", "equity", "exposure"), f"WHERE id IN ({marks})", tuple(newest)
        )
        for pk, worth, gross in points:
            rate = rates.rate(newest[pk])
            if rate is not None:
                equity += max(worth, ZERO) * rate
                exposure += gross * rate
    return gate.Others(equity=equity, exposure=exposure)


# --- What moves together ------------------------------------------------------------------------------------


def alike(
    wanted: Mapping[int, Instrument], exposure: Mapping[int, Decimal], now: datetime
) -> dict[int, frozenset[int]]:
    """For each wanted instrument those held (or wanted beside it) that move with it. Too little history: alike."""
    others = {pk for pk, value in exposure.items() if value} | set(wanted)
    if len(others) < 2:
        return {}
    rows = dict(wanted) | {pk: hub.by_id(pk) for pk in others - set(wanted)}
    seen = {pk: moves(row, now)[0] for pk, row in rows.items()}
    return {
        pk: frozenset(other for other in others if other != pk and _is_alike(seen[pk], seen[other]))
        for pk in wanted
    }


def moves(row: Instrument, now: datetime) -> tuple[dict[int, float], int]:
    """Log returns of the last hours (or of longer bars where only those are stored) by the bar's opening time, and how
    many seconds a bar lasts.
    """
    newest = hub.newest([row], now)[row.pk]
    name = max("1h", newest.timeframe if newest else row.timeframe, key=timeframes.seconds)
    series = hub.series(row, name, end=now, limit=_HOURS)
    bar_s = timeframes.seconds(name)
    if len(series) < 2:
        return {}, bar_s
    return dict(zip(series.ts[1:].tolist(), np.diff(np.log(series.close)).tolist(), strict=True)), bar_s


def _is_alike(a: Mapping[int, float], b: Mapping[int, float]) -> bool:
    common = sorted(a.keys() & b.keys())
    if len(common) < MIN_SAMPLES:
        return True
    value = metrics.correlation([a[ts] for ts in common], [b[ts] for ts in common])
    return not abs(value) < ALIKE  # NaN: one of them stood still, nothing is known


# --- Protections ------------------------------------------------------------------------------------------------


def in_force(account: Account, now: datetime) -> tuple[Lock, ...]:
    """Locks of the account's protections at `now`."""
    return in_force_of((account,), now)[account.pk]


def in_force_of(accounts: Iterable[Account], now: datetime) -> dict[int, tuple[Lock, ...]]:
    """Locks by account. One query, a second when anything is locked, none when no account has protections."""
    rows = list(accounts)
    rules = {row.pk: registry.protections(row.asset_type) for row in rows}
    guarded = [row for row in rows if rules[row.pk].horizon_s]
    found: dict[int, tuple[Lock, ...]] = {row.pk: () for row in rows}
    if not guarded:
        return found
    since = now - timedelta(seconds=max(rules[row.pk].horizon_s for row in guarded))
    trades = closed_trades(guarded, since, now)
    for row in guarded:
        found[row.pk] = protections.locks(trades.get(row.pk, ()), rules[row.pk], now.timestamp())
    locked = [row for row in guarded if found[row.pk]]
    if not locked:
        return found
    released: dict[int, dict[tuple[str, str], float]] = {row.pk: {} for row in locked}
    for free in ProtectionRelease.objects.filter(account__in=locked, at__gte=since).order_by("at"):
        released[free.account_id][free.kind, free.subject] = free.at.timestamp()
    for row in locked:
        mine = trades.get(row.pk, ())
        found[row.pk] = protections.locks(mine, rules[row.pk], now.timestamp(), released[row.pk])
    return found


def closed_trades(
    accounts: Iterable[Account], since: datetime, now: datetime
) -> dict[int, list[ClosedTrade]]:
    """What was closed by each order that realised something since then, by account, oldest first. One query."""
    pks = [row.pk for row in accounts]
    if not pks:
        return {}
    sql = _CLOSED % ", ".join(["%s"] * len(pks))
    span = (statements.time_param(since), statements.time_param(now))
    orders: dict[tuple[int, int], list[tuple[str, datetime, Decimal, Decimal, bool]]] = {}
    for account_id, order_id, symbol, at_, side, *amounts, slug in statements.rows(sql, (*pks, *span)):
        at = statements.as_time(at_)
        assert at is not None
        quantity, price, realised, fee = (to_decimal(amount) for amount in amounts)
        value = quantity * price
        cost = value - realised if side == "sell" else value + realised
        parts = orders.setdefault((account_id, order_id), [])
        parts.append((symbol, at, realised - fee, cost, slug == STOP_SLUG))
    found: dict[int, list[ClosedTrade]] = {}
    for (account_id, _order_id), parts in orders.items():
        symbol, at, _gain, _cost, by_stop = parts[-1]
        cost = sum((part[3] for part in parts), start=ZERO)
        if cost > 0:
            gain = float(sum((part[2] for part in parts), start=ZERO) / cost)
            trade = ClosedTrade(subject=symbol, at_s=at.timestamp(), gain=gain, by_stop=by_stop)
            found.setdefault(account_id, []).append(trade)
    return found


_CLOSED: Final = (
    "SELECT f.account_id, f.order_id, m.symbol, f.at, f.side, f.quantity, f.price, f.realised, f.fee, i.workflow_slug "
    "FROM trading_fill f JOIN markets_instrument m ON m.id = f.instrument_id JOIN trading_order o ON o.id = f.order_id "
    "JOIN trading_intent i ON i.id = o.intent_id "
    "WHERE f.account_id IN (%s) AND f.at >= %%s AND f.at <= %%s AND f.realised <> '0' ORDER BY f.at, f.id"
)

STOP_SLUG: Final = "protective-stop"
"""Stands where a workflow's slug stands when a stop closes a position: no run is behind it."""


def _by_instrument(locks: Iterable[Lock], rows: Iterable[Instrument]) -> dict[int, tuple[str, str]]:
    found: dict[int, tuple[str, str]] = {}
    by_symbol = {row.symbol: row.pk for row in rows}
    for lock in locks:
        pk = 0 if lock.subject == protections.ALL else by_symbol.get(lock.subject)
        if pk is not None:
            until = datetime.fromtimestamp(lock.until_s, UTC)
            found[pk] = (lock.kind, until.isoformat(timespec="seconds"))
    return found
