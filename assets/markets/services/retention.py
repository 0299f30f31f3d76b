"""Forgetting: old fine candles and old quarantine, in portions small enough not to hold anybody up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Final

from assets.markets import rawsql, timeframes
from assets.markets.models import Candle, Instrument, PriceSide, RejectedCandle

_PORTION: Final = 1_000  # a transaction
_PORTIONS: Final = 1_000  # a run
_HOUR_S: Final = 3600


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """`minute_days` is for candles below one hour; coarser ones are kept."""

    minute_days: int
    rejected_days: int


@dataclass(kw_only=True, slots=True)
class PurgeReport:
    """`more` says that the limit of a run was reached and the next one goes on."""

    candles: int = 0
    rejected: int = 0
    more: bool = False

    @property
    def deleted(self) -> int:
        return self.candles + self.rejected

    def as_summary(self) -> dict[str, int | bool]:
        return asdict(self)


def purge(
    policy: Policy, *, now: datetime, guard: Callable[[], None], portion: int = _PORTION
) -> PurgeReport:
    """Delete what the policy does not keep. Each portion is its own transaction; `guard` is asked before each."""
    report = PurgeReport()
    before_ts = int((now - timedelta(days=policy.minute_days)).timestamp())
    fine = [name for name, size in timeframes.SECONDS.items() if size < _HOUR_S]
    portions = _PORTIONS
    for pk in Instrument.objects.values_list("pk", flat=True):
        for timeframe in fine:
            for side in PriceSide:
                while portions > 0:
                    guard()
                    deleted = _oldest(pk, timeframe, side, before_ts, portion)
                    report.candles += deleted
                    portions -= deleted > 0
                    if deleted < portion:
                        break
    portions = _purge_rejected(policy, now, guard, portion, portions, report)
    report.more = portions <= 0
    return report


def _oldest(pk: int, timeframe: str, side: PriceSide, before_ts: int, portion: int) -> int:
    """Delete the oldest bars of a kind, a portion of them."""
    span = rawsql.span(pk, timeframe, side)
    if span is None or span[0] >= before_ts:
        return 0
    times = rawsql.head(pk, timeframe, side, span[0], portion).ts
    limit = min(int(times[-1]) + 1, before_ts)
    rows = Candle.objects.filter(instrument_id=pk, timeframe=timeframe, side=side, open_ts__lt=limit)
    return rows.delete()[0]


def _purge_rejected(
    policy: Policy, now: datetime, guard: Callable[[], None], portion: int, portions: int, report: PurgeReport
) -> int:
    old = RejectedCandle.objects.filter(received_at__lt=now - timedelta(days=policy.rejected_days)).order_by(
        "pk"
    )
    while portions > 0:
        guard()
        pks = list(old.values_list("pk", flat=True)[:portion])
        if not pks:
            break
        report.rejected += RejectedCandle.objects.filter(pk__in=pks).delete()[0]
        portions -= 1
    return portions
