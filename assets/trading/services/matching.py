"""The paper venue's matching: working orders against bars that opened after their acceptance.

One rule everywhere, real time and replay alike: an order meets the first bar that opens at or after its
acceptance, known when that bar has closed, and is filled at what that bar's open would have cost
(`assets.quant.fills`). A decision can therefore never trade at a price it had seen. The fill carries the
bar's opening time; it is booked when the bar is complete, because a thin bar fills only a share of its
volume. Bid and ask bars are used where stored; otherwise half the spread is added.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
from django.db.models import OuterRef, Subquery

from assets.markets import hub, timeframes
from assets.markets.models import Instrument, PriceSide
from assets.quant import fills as model
from assets.trading import conf
from assets.trading.market import rules_of
from assets.trading.models import Fill, Order
from assets.trading.services import fills, orders
from assets.trading.states import WORKING
from tradingsite.foundation import statements
from tradingsite.foundation.errors import ConcurrentChange
from tradingsite.foundation.money import to_decimal
from tradingsite.foundation.statements import as_time

_MAX_BARS = 2000
"""Bars looked at in one pass: more than any order lives."""

_RESTING = (
    "SELECT o.id, o.instrument_id, m.timeframe, o.accepted_at, i.valid_until, "
    "(SELECT MAX(f.at) FROM trading_fill f WHERE f.order_id = o.id) "
    "FROM trading_order o JOIN trading_intent i ON i.id = o.intent_id "
    "JOIN trading_account a ON a.id = o.account_id JOIN markets_instrument m ON m.id = o.instrument_id "
    "WHERE o.status IN (%s, %s, %s) AND a.broker = %s ORDER BY o.id"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class MatchReport:
    """What one pass did."""

    working: int = 0
    fills: int = 0
    expired: int = 0


def match(now: datetime) -> MatchReport:
    """Fill and expire what rests at the paper venue, oldest order first. One query when nothing rests.
    Idempotent.
    """
    resting = _resting()
    if not resting:
        return MatchReport()
    newest = hub.newest({row.instrument_id for row in resting}, now)
    ripe = {row.order_id for row in resting if _is_ripe(row, newest[row.instrument_id], now)}
    filled = expired = 0
    for order in _orders(ripe):
        bar = newest[order.instrument_id]
        if bar is not None:
            filled += _fill(order, bar.timeframe, bar.close_ts, now)
        expired += _expire(order, bar, now)
    return MatchReport(working=len(resting), fills=filled, expired=expired)


@dataclass(frozen=True, slots=True)
class _Resting:
    """What tells whether anything can happen to a working order."""

    order_id: int
    instrument_id: int
    timeframe: str  # the instrument's own
    accepted_at: datetime
    valid_until: datetime
    last_fill_at: datetime | None


def _resting() -> list[_Resting]:
    # Asked every second and at every step of a replay: a statement costs a twentieth of building a queryset.
    return [
        _Resting(pk, instrument_id, timeframe, _time(accepted_at), _time(valid_until), as_time(filled_at))
        for pk, instrument_id, timeframe, accepted_at, valid_until, filled_at in statements.rows(
            _RESTING, (*WORKING, "paper")
        )
    ]


def _time(value: Any) -> datetime:
    at = as_time(value)
    assert at is not None  # a working order was accepted, an intent has its end
    return at


def _is_ripe(row: _Resting, newest: hub.Newest | None, now: datetime) -> bool:
    """Whether a bar that may fill the order has closed, or its validity is over."""
    length = timeframes.seconds(newest.timeframe if newest is not None else row.timeframe)
    if now >= row.valid_until + timedelta(seconds=length):
        return True
    return newest is not None and newest.close_ts >= _first_ts(row.accepted_at, row.last_fill_at) + length


def _orders(pks: Collection[int]) -> list[Order]:
    """Those of the orders that are working still, oldest first."""
    if not pks:
        return []
    newest_fill = Fill.objects.filter(order=OuterRef("pk")).order_by("-at").values("at")[:1]
    rows = (
        Order.objects.filter(pk__in=pks, status__in=WORKING)
        .select_related("intent", "account", "instrument")
        .annotate(last_fill_at=Subquery(newest_fill))
        .order_by("pk")
    )
    return list(rows)


def _fill(order: Order, timeframe: str, newest_close_ts: int, now: datetime) -> int:
    assert order.accepted_at is not None
    first_ts = _first_ts(order.accepted_at, getattr(order, "last_fill_at", None))
    length = timeframes.seconds(timeframe)
    if newest_close_ts < first_ts + length:
        # No bar that opened late enough has closed.
        return 0
    limit = min((newest_close_ts - first_ts) // length + 1, _MAX_BARS)
    last_ts = int(order.intent.valid_until.timestamp())
    bars = _bars(order.instrument, order.side, timeframe, now, limit, first_ts, last_ts)
    remaining = order.quantity - order.filled_quantity
    resting = model.WorkingOrder(side=order.side, remaining=remaining, limit_price=order.intent.limit_price)
    executions = model.execute_over(resting, bars, rules_of(order.instrument), costs_of(order.instrument))
    return _book(order, executions)


def _first_ts(accepted_at: datetime, last_fill_at: datetime | None) -> int:
    """Opening time from which a bar may fill an order: not before acceptance, after the bar that filled last."""
    # A fraction of a second after the opening is after it: round up.
    first = int(accepted_at.timestamp()) + (1 if accepted_at.microsecond else 0)
    return first if last_fill_at is None else max(first, int(last_fill_at.timestamp()) + 1)


def _bars(
    instrument: Instrument, side: str, timeframe: str, now: datetime, limit: int, first_ts: int, last_ts: int
) -> Iterable[model.Bar]:
    """Bars that opened in [first_ts, last_ts), on the side the order trades at where bid and ask are stored."""
    wanted = PriceSide.ASK if side == model.BUY else PriceSide.BID
    series = hub.series(instrument, timeframe, end=now, limit=limit, side=wanted)
    quoted = len(series.ts) > 0 and int(series.ts[-1]) >= first_ts
    if not quoted:
        series = hub.series(instrument, timeframe, end=now, limit=limit)
    keep = np.flatnonzero((series.ts >= first_ts) & (series.ts < last_ts))
    for index in keep.tolist():
        yield model.Bar(
            open_ts=int(series.ts[index]),
            open=to_decimal(float(series.open[index])),
            high=to_decimal(float(series.high[index])),
            low=to_decimal(float(series.low[index])),
            # The volume of bid or ask bars counts quotes, not trades: unknown.
            volume=Decimal(0) if quoted else to_decimal(float(series.volume[index])),
            quoted=quoted,
        )


def costs_of(instrument: Instrument) -> model.Costs:
    """The costs of an instrument as the pure model wants them."""
    return model.Costs(
        fee_rate=instrument.fee_rate,
        half_spread_bps=to_decimal(instrument.half_spread_bps),
        slippage_bps=to_decimal(instrument.slippage_bps),
        participation=conf.PARTICIPATION,
    )


def _book(order: Order, executions: Sequence[model.Execution]) -> int:
    for execution in executions:
        fills.book(
            order,
            # The same bar can fill the same order only once, however often this runs.
            f"{order.client_id}-{execution.open_ts}",
            execution.quantity,
            execution.price,
            execution.fee,
            order.instrument.quote,
            datetime.fromtimestamp(execution.open_ts, UTC),
        )
    return len(executions)


def _expire(order: Order, newest: hub.Newest | None, now: datetime) -> int:
    """End an order whose validity is over, once every bar that may still fill it has been seen."""
    valid_until = order.intent.valid_until
    length = timedelta(seconds=timeframes.seconds(newest.timeframe if newest else order.instrument.timeframe))
    if now < valid_until + length:
        return 0
    try:
        current = orders.current(order)
        if current.status not in WORKING:
            return 0
        orders.expire(current, "validity_over")
    except ConcurrentChange:
        return 0
    return 1
