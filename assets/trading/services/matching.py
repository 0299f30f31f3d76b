"""The paper venue's matching: working orders against bars that opened after their acceptance.

One rule everywhere, real time and replay alike: an order meets the first bar that opens at or after its
acceptance, known when that bar has closed, and is filled at what that bar's open would have cost
(`assets.quant.fills`). A decision can therefore never trade at a price it had seen. The fill carries the
bar's opening time; it is booked when the bar is complete, because a thin bar fills only a share of its
volume. Bid and ask bars are used where stored; otherwise half the spread is added.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
from django.db import connection
from django.db.models import OuterRef, Subquery

from assets.markets import hub, timeframes
from assets.markets.models import Instrument, PriceSide
from assets.quant import fills as model
from assets.trading import conf
from assets.trading.market import rules_of
from assets.trading.models import Fill, Order
from assets.trading.services import fills, orders
from assets.trading.states import WORKING
from tradingsite.foundation.errors import ConcurrentChange
from tradingsite.foundation.money import to_decimal

_MAX_BARS = 2000
"""Bars looked at in one pass: more than any order lives."""


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
    if not _anything_rests():
        return MatchReport()
    newest_fill = Fill.objects.filter(order=OuterRef("pk")).order_by("-at").values("at")[:1]
    rows = (
        Order.objects.filter(status__in=WORKING, account__broker="paper")
        .select_related("intent", "account", "instrument")
        .annotate(last_fill_at=Subquery(newest_fill))
        .order_by("pk")
    )
    working = list(rows)
    newest = hub.newest({order.instrument_id: order.instrument for order in working}.values(), now)
    filled = expired = 0
    for order in working:
        bar = newest[order.instrument_id]
        if bar is not None:
            filled += _fill(order, bar.timeframe, bar.close_ts, now)
        expired += _expire(order, bar, now)
    return MatchReport(working=len(working), fills=filled, expired=expired)


def _anything_rests() -> bool:
    # Asked every second and at every step of a replay: plain SQL costs a twentieth of building a queryset.
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM trading_order WHERE status IN (%s, %s, %s) LIMIT 1", WORKING)
        return cursor.fetchone() is not None


def _fill(order: Order, timeframe: str, newest_close_ts: int, now: datetime) -> int:
    first_ts = _first_ts(order)
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


def _first_ts(order: Order) -> int:
    """Opening time from which a bar may fill this order: not before acceptance, after the bar that filled
    last.
    """
    assert order.accepted_at is not None
    accepted = order.accepted_at
    # A fraction of a second after the opening is after it: round up.
    first = int(accepted.timestamp()) + (1 if accepted.microsecond else 0)
    last_fill_at: datetime | None = getattr(order, "last_fill_at", None)
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
