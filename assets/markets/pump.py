"""Moves what a feed brings into the database: candles, quotes, and how each instrument's feed stands.

The network is only touched while the feed's generator runs, and no transaction is open then.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from django.db import DatabaseError, InterfaceError, OperationalError, transaction
from django.db.models import F

from assets.markets import rawsql
from assets.markets.feeds.base import Batch, Feed
from assets.markets.models import FeedState, Instrument, Quote
from assets.markets.services import candles
from assets.markets.services.candles import StoreReport
from tradingsite.foundation.errors import DomainError

log = logging.getLogger(__name__)

_ERROR_LENGTH: Final = 200


@dataclass(kw_only=True, slots=True)
class PumpReport:
    """One round. `errors` by symbol; `changed` has the ids of instruments with new or corrected bars."""

    batches: int = 0
    stored: StoreReport = field(default_factory=StoreReport)
    quotes: int = 0
    errors: dict[str, str] = field(default_factory=dict)
    changed: set[int] = field(default_factory=set)


@dataclass(slots=True)
class _State:
    """What is collected for one instrument in a round."""

    instrument: Instrument
    quote: Batch | None = None
    error: str = ""
    accepted: int = 0
    rejected: int = 0


def pump(feed: Feed, now: datetime) -> PumpReport:
    """One round: poll, store, note. A bad instrument is noted in its FeedState; the others go on."""
    report = PumpReport()
    states: dict[int, _State] = {}
    for batch in feed.poll(now):
        report.batches += 1
        state = states.setdefault(batch.instrument.pk, _State(batch.instrument))
        state.error = state.error or batch.error
        if batch.quote is not None:
            state.quote = batch
        if len(batch.bars):
            _store(feed, batch, state, report, now)
    for state in states.values():
        if state.error:
            report.errors[state.instrument.symbol] = state.error
    report.quotes = _note(feed.name, states.values(), now)
    return report


def _store(feed: Feed, batch: Batch, state: _State, report: PumpReport, now: datetime) -> None:
    try:
        stored = candles.store(
            batch.instrument, batch.timeframe, batch.bars, side=batch.side, source=feed.name, now=now
        )
    except (OperationalError, InterfaceError):
        # The database itself is away or busy: the next instrument would only wait as long again.
        raise
    except (DomainError, DatabaseError) as error:
        # Noted on the instrument's row; the loop over the others must go on.
        log.warning("%s: candles were not stored: %s", batch.instrument.symbol, error)
        state.error = f"{type(error).__name__}: {error}"
        feed.forget(batch.instrument)
        return
    state.accepted += stored.accepted_count
    state.rejected += stored.rejected_count
    report.stored.add(stored)
    if stored.inserted or stored.updated:
        report.changed.add(batch.instrument.pk)


def _note(feed: str, states: Iterable[_State], now: datetime) -> int:
    """Write quotes and feed states in one short transaction. Returns how many quotes."""
    states = list(states)
    if not states:
        return 0
    newest = rawsql.newest([state.instrument.pk for state in states if state.quote], int(now.timestamp()))
    quotes = [_quote(state, newest, now) for state in states if state.quote is not None]
    with transaction.atomic():
        Quote.objects.bulk_create(
            quotes,
            update_conflicts=True,
            unique_fields=["instrument"],
            update_fields=["last", "bid", "ask", "change_24h", "at", "received_at", "last_bar_ts"],
        )
        _note_states(feed, states, now)
    return len(quotes)


def _quote(state: _State, newest: dict[int, rawsql.Newest], now: datetime) -> Quote:
    assert state.quote is not None and state.quote.quote is not None
    tick = state.quote.quote
    kinds = newest.get(state.instrument.pk, {})
    fine = [ts for (timeframe, _side), ts in kinds.items() if timeframe == state.instrument.timeframe]
    return Quote(
        instrument=state.instrument,
        last=tick.last,
        bid=tick.bid,
        ask=tick.ask,
        change_24h=tick.change_24h,
        at=tick.at,
        received_at=now,
        last_bar_ts=max(fine, default=None),
    )


def _note_states(feed: str, states: list[_State], now: datetime) -> None:
    FeedState.objects.bulk_create(
        (FeedState(instrument=state.instrument, feed=feed) for state in states), ignore_conflicts=True
    )
    good = [state.instrument.pk for state in states if not state.error]
    FeedState.objects.filter(pk__in=good).update(feed=feed, last_ok_at=now, last_error="")
    for state in states:
        row = FeedState.objects.filter(pk=state.instrument.pk)
        if state.error:
            row.update(feed=feed, last_error=state.error[:_ERROR_LENGTH], last_error_at=now)
        if state.accepted or state.rejected:
            row.update(
                accepted_count=F("accepted_count") + state.accepted,
                rejected_count=F("rejected_count") + state.rejected,
            )
