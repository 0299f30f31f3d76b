"""Bars and prices of US funds from Alpaca's data API (the IEX exchange's trades): budget, deadline, clear errors."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from assets.markets import conf, ratelimit
from assets.markets.feeds.alpaca_client import DEADLINE_S, Line, blocked_until, text_of, time_of
from assets.markets.feeds.base import BudgetSpent, FeedError, QuoteTick, UnknownSymbol, VenueUnreachable
from assets.markets.series import Bars, bars_of
from tradingsite.foundation import clock

VENUE: Final = "alpaca"
BUDGET: Final = "alpaca-data"  # counted apart from orders, as the venue does
LIMIT: Final = ratelimit.Limit(180, 60)  # it allows 200 a minute
FEED: Final = "iex"  # the consolidated tape costs money
MAX_BARS: Final = 10_000
MAX_SYMBOLS: Final = 50
WIDEST_BOOK: Final = 0.005
"""IEX is one exchange of many. A bid and ask further apart than that (ratio of the price) say nothing about the market."""

_UNITS: Final = {"m": "Min", "h": "Hour", "d": "Day", "w": "Week"}
_INVALID: Final = re.compile(r"invalid symbol\(?s?\)?:?\s*(.+)", re.I)


class InvalidSymbols(UnknownSymbol):
    """The venue refuses the whole question because of these."""

    def __init__(self, symbols: Sequence[str]) -> None:
        super().__init__(f"Alpaca does not know {', '.join(symbols)}.")
        self.symbols = frozenset(symbols)


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """Bars by symbol, those of later symbols may follow: `token` asks for the next page, empty at the end."""

    bars: Mapping[str, Bars]
    token: str


class AlpacaData:
    """Every call spends its request first and raises FeedError or a subclass."""

    def __init__(self, settings: conf.MarketSettings | None = None) -> None:
        self._settings = settings or conf.read()
        self._line = Line(self._client)
        ratelimit.configure(BUDGET, LIMIT)

    def bars(
        self, symbols: Sequence[str], timeframe: str, *, first_ts: int, last_ts: int, token: str = ""
    ) -> Page:
        """Bars opening from `first_ts` to `last_ts` (epoch seconds, both included), at most 10,000 a page."""
        query = {
            "symbols": ",".join(symbols), "timeframe": timeframe[:-1] + _UNITS[timeframe[-1]], "start": _moment(first_ts),
            "end": _moment(last_ts), "limit": MAX_BARS, "feed": FEED, "adjustment": "raw", "sort": "asc",
        }  # fmt: skip
        answer = self._call("/stocks/bars", query | ({"page_token": token} if token else {}))
        return parse_bars(answer)

    def quotes(self, symbols: Sequence[str]) -> dict[str, QuoteTick]:
        """Last trade, best bid and ask, and the change since the last close, of many symbols in one call each 50."""
        found: dict[str, QuoteTick] = {}
        for start in range(0, len(symbols), MAX_SYMBOLS):
            part = ",".join(symbols[start : start + MAX_SYMBOLS])
            found |= parse_snapshots(self._call("/stocks/snapshots", {"symbols": part, "feed": FEED}))
        return found

    # --- How a call is made -------------------------------------------------------------------------------------

    def _client(self) -> Any:
        from alpaca.data.historical.stock import StockHistoricalDataClient

        return StockHistoricalDataClient(
            self._settings.alpaca_key, self._settings.alpaca_secret, raw_data=True,
            url_override=self._settings.alpaca_url or None,
        )  # fmt: skip

    def _call(self, path: str, query: dict[str, Any]) -> dict[str, Any]:
        if not (self._settings.alpaca_key and self._settings.alpaca_secret):
            raise FeedError("Alpaca's data needs TRADING_ALPACA_KEY and TRADING_ALPACA_SECRET.")
        now = clock.now()
        until = ratelimit.blocked_until(BUDGET, now)
        if until is not None:
            raise BudgetSpent(f"Alpaca has blocked us until {until:%H:%M:%S} UTC.")
        if not ratelimit.spend(BUDGET, 1, now):
            raise BudgetSpent("The request budget for Alpaca's data is spent for this minute.")
        deadline_s = DEADLINE_S
        try:
            answer = self._line.call("get", path, query, deadline_s=deadline_s)
        except TimeoutError as error:
            raise VenueUnreachable(f"Alpaca did not answer within {deadline_s:g} s.") from error
        except Exception as error:
            # The classes of three libraries may come; the status decides what it was.
            raise self._reading_of(error) from error
        if self._line.wire.status != 200 or not isinstance(answer, dict):
            raise FeedError("Alpaca gave no document.")
        return answer

    def _reading_of(self, error: Exception) -> FeedError:
        status = self._line.wire.status
        if status == 429:
            until = blocked_until(self._line.wire.headers, clock.now())
            ratelimit.block(BUDGET, until)
            return BudgetSpent(f"Alpaca refuses us until {until:%H:%M:%S} UTC (429).")
        if not status or status >= 500:
            return VenueUnreachable(f"Alpaca cannot be reached: {type(error).__name__}, status {status}.")
        if status < 400:
            return FeedError(f"Alpaca gave no usable answer: {type(error).__name__}.")
        words = self._words(error)
        if status == 400 and (match := _INVALID.search(words)):
            return InvalidSymbols([name for name in re.split(r"[,\s]+", match[1].strip(" .")) if name])
        return FeedError(f"Alpaca refuses to answer ({status}): {words}")

    def _words(self, error: Exception) -> str:
        try:
            text = str(json.loads(str(error))["message"])
        except (ValueError, KeyError, TypeError):
            return type(error).__name__
        return text.replace(self._settings.alpaca_secret, "***").replace(self._settings.alpaca_key, "***")[
            :120
        ]


def _moment(ts: int) -> str:
    return text_of(datetime.fromtimestamp(ts, UTC))


# --- Parsing (pure; tested on recorded answers) -----------------------------------------------------------------


def parse_bars(answer: Mapping[str, Any]) -> Page:
    """Bars of an answer. A field that is no number becomes NaN, for the gate to refuse; raises FeedError else."""
    found, token = answer.get("bars"), answer.get("next_page_token")
    if not isinstance(found, dict) or not isinstance(token, str | None):
        raise FeedError("Alpaca's bars are no table.")
    try:
        tables = {
            str(symbol): bars_of(
                [(time_of(row["t"]).timestamp() // 1, *(number(row.get(name)) for name in "ohlcv")) for row in rows]
            )
            for symbol, rows in found.items()
        }  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FeedError(f"A bar of Alpaca cannot be read: {type(error).__name__}.") from error
    return Page(bars=tables, token=token or "")


def parse_snapshots(answer: Mapping[str, Any]) -> dict[str, QuoteTick]:
    """Prices by symbol. Those without a positive last price are left out, and so are books that say nothing."""
    found: dict[str, QuoteTick] = {}
    for symbol, row in answer.items():
        trade, book, before = (_part(row, name) for name in ("latestTrade", "latestQuote", "prevDailyBar"))
        try:
            last, at = number(trade.get("p")), time_of(trade.get("t"))
        except (TypeError, ValueError):
            continue
        if not (last > 0 and math.isfinite(last)):
            continue
        bid, ask, close = number(book.get("bp")), number(book.get("ap")), number(before.get("c"))
        has_book = 0 < bid <= ask and ask - bid <= WIDEST_BOOK * last
        found[symbol] = QuoteTick(
            last=last, bid=bid if has_book else None, ask=ask if has_book else None, at=at,
            change_24h=last / close - 1 if close > 0 and math.isfinite(close) else None,
        )  # fmt: skip
    return found


def _part(row: Any, name: str) -> Mapping[str, Any]:
    part = row.get(name) if isinstance(row, dict) else None
    return part if isinstance(part, dict) else {}


def number(value: object) -> float:
    """A float; NaN for anything that is none."""
    try:
        return float(value) if isinstance(value, str | int | float | Decimal) else math.nan
    except ValueError:
        return math.nan
