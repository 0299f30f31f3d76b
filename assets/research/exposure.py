"""What a trading workflow has at stake: `Exposure` for all workflows of a type, in at most three queries.

Positions are those in the instruments that are active now, so that a replay and the simulated feed see their own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from assets.markets.models import Instrument
from assets.markets.universe import DEMO_SUFFIX
from assets.research import readings
from assets.research.readings import Reading
from assets.trading.models import Account, EquityPoint
from assets.trading.rates import Edge, Rates
from orchestrator.engine.types import Exposure
from orchestrator.plugins import WorkflowView
from tradingsite.foundation import statements
from tradingsite.foundation.money import to_decimal

_EQUITY_FOR = timedelta(seconds=60)
_FLAT = Exposure()
_SQL = (
    "SELECT p.account_id, p.instrument_id, p.quantity, s.level FROM trading_position p "
    "LEFT JOIN trading_protectivestop s ON s.position_id = p.id AND s.status <> 'closed' "
    "WHERE p.opened_at IS NOT NULL AND p.instrument_id IN (%s) ORDER BY p.id"
)
_equity: dict[int, tuple[datetime, float, str]] = {}


def forget() -> None:
    """Drop the equity figures kept (tests)."""
    _equity.clear()


@dataclass(frozen=True, slots=True)
class _Held:
    """One open position. `value_ratio` is |value| / equity (0.0 when unknown); `stop` its level, None without one."""

    symbol: str
    reading: Reading | None
    is_long: bool
    stop: float | None
    value_ratio: float


class Stakes:
    """Answers `Watch.exposure` for one asset type."""

    def __init__(self, asset_type: str) -> None:
        self._asset_type = asset_type

    def of(self, workflows: Sequence[WorkflowView], now: datetime) -> Mapping[int, Exposure]:
        """Exposure by workflow pk, for every workflow asked."""
        held = self._held(now)
        if not held:
            return {workflow.pk: _FLAT for workflow in workflows}
        return {workflow.pk: self._exposure(workflow, held) for workflow in workflows}

    def _exposure(self, workflow: WorkflowView, held: Sequence[_Held]) -> Exposure:
        wanted = {symbol.removesuffix(DEMO_SUFFIX) for symbol in workflow.params.get("symbols") or ()}
        mine = [h for h in held if not wanted or h.symbol.removesuffix(DEMO_SUFFIX) in wanted]
        if not mine:
            return _FLAT
        distances = [d for h in mine if (d := self._distance(h, workflow)) is not None]
        return Exposure(
            open_positions=len(mine),
            exposure_ratio=sum(h.value_ratio for h in mine),
            stop_distance_sigmas=min(distances, default=None),
        )

    def _distance(self, held: _Held, workflow: WorkflowView) -> float | None:
        """Distance to the stop in sigmas of the base interval, not below 0; None without a stop or unknown."""
        reading = held.reading
        if reading is None or held.stop is None or not (held.stop > 0.0 and reading.price > 0.0):
            return None
        sigma = reading.sigma(workflow.base_interval_s)
        if not sigma > 0.0:
            return None
        log_distance = math.log(reading.price / held.stop)
        return max(log_distance if held.is_long else -log_distance, 0.0) / sigma

    def _held(self, now: datetime) -> list[_Held]:
        rows = {row.pk: row for row in readings.active(self._asset_type, now)}
        positions = _positions(rows.keys())
        if not positions:
            return []
        seen = readings.read(rows.values(), now)
        return [self._one(position, rows, seen, now) for position in positions]

    def _one(
        self,
        position: tuple[int, int, Decimal, float | None],
        rows: Mapping[int, Instrument],
        seen: Mapping[int, Reading | None],
        now: datetime,
    ) -> _Held:
        account_id, instrument_id, quantity, stop = position
        row, reading = rows[instrument_id], seen[instrument_id]
        value_ratio = 0.0
        if reading is not None:
            equity, currency = _worth(account_id, now)
            rate = _rate(row.quote, currency, rows, seen)
            value = abs(float(quantity)) * reading.price
            value_ratio = value * rate / equity if rate is not None and equity > 0.0 else 0.0
        return _Held(
            symbol=row.symbol, reading=reading, is_long=quantity > 0, stop=stop,
            value_ratio=value_ratio if math.isfinite(value_ratio) else 0.0,
        )  # fmt: skip


def _positions(instrument_ids: Iterable[int]) -> list[tuple[int, int, Decimal, float | None]]:
    """Open positions as (account, instrument, quantity, stop). Plain SQL: the loop asks this every second."""
    ids = list(instrument_ids)
    if not ids:
        return []
    rows = statements.rows(_SQL % ", ".join(["%s"] * len(ids)), tuple(ids))
    return [
        (account_id, instrument_id, to_decimal(quantity), level)
        for account_id, instrument_id, quantity, level in rows
    ]


def _worth(account_id: int, now: datetime) -> tuple[float, str]:
    """Newest known equity (the opening balance before any) and its currency; read once a minute."""
    known = _equity.get(account_id)
    if known is not None and timedelta(0) <= now - known[0] < _EQUITY_FOR:
        return known[1], known[2]
    (account,) = statements.values(Account, ("opening_balance", "currency"), "WHERE id = %s", (account_id,))
    tail = "WHERE account_id = %s AND at <= %s ORDER BY at DESC LIMIT 1"
    newest = statements.values(EquityPoint, ("equity",), tail, (account_id, statements.time_param(now)))
    opening, currency = account
    worth = float(newest[0][0] if newest else opening)
    _equity[account_id] = (now, worth, currency)
    return worth, currency


def _rate(
    quote: str, currency: str, rows: Mapping[int, Instrument], seen: Mapping[int, Reading | None]
) -> float | None:
    """What one unit of `quote` is worth in `currency`, by the prices of the same universe; None when unknown."""
    if quote == currency:
        return 1.0
    edges = [
        Edge(row.base, row.quote, to_decimal(reading.price))
        for pk, row in rows.items()
        if (reading := seen[pk]) is not None
    ]
    rate = Rates(currency, edges).rate(quote)
    return None if rate is None else float(rate)
