"""Public market data of Binance through ccxt: total deadline, shared budget, clear errors."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as DeadlineExceeded
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import ccxt

from assets.markets import conf, ratelimit
from assets.markets.feeds.base import BudgetSpent, FeedError, QuoteTick, UnknownSymbol, VenueUnreachable
from assets.markets.series import Bars, bars_of

VENUE: Final = "binance"
MAX_BARS: Final = 1000
_WEIGHT_HEADER: Final = "x-mbx-used-weight-1m"
_BANNED_UNTIL: Final = re.compile(r"until (\d{13})")
_LONGEST_BAN: Final = timedelta(days=3)
_DEFAULT_BAN: Final = timedelta(minutes=1)
_MAX_SYMBOLS: Final = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class SymbolFacts:
    """What the venue says a symbol is."""

    base: str
    quote: str
    is_trading: bool


class BinanceClient:
    """Public endpoints. Every call needs `now`, spends its weight first and raises FeedError or a subclass."""

    def __init__(self, settings: conf.MarketSettings | None = None) -> None:
        self._settings = settings or conf.read()
        ratelimit.configure(VENUE, ratelimit.Limit(self._settings.binance_weight, 60))
        self._exchange: Any = None
        self._worker: ThreadPoolExecutor | None = None

    # --- What can be asked --------------------------------------------------------------------------------------

    def klines(self, symbol: str, timeframe: str, now: datetime, *, since_ts: int | None, limit: int) -> Bars:
        """Bars as the venue gives them, the unfinished one included; at most 1000."""
        params: dict[str, Any] = {"symbol": symbol, "interval": timeframe, "limit": min(limit, MAX_BARS)}
        if since_ts is not None:
            params["startTime"] = since_ts * 1000
        rows = self._call("publicGetKlines", params, weight=2, now=now)
        return parse_klines(rows)

    def quotes(self, symbols: Sequence[str], now: datetime) -> dict[str, QuoteTick]:
        """Last price, best bid and ask, and the change in 24 hours, of many symbols in one call each 50."""
        found: dict[str, QuoteTick] = {}
        for start in range(0, len(symbols), _MAX_SYMBOLS):
            part = list(symbols[start : start + _MAX_SYMBOLS])
            params = {"symbols": json.dumps(part, separators=(",", ":"))}
            rows = self._call(
                "publicGetTicker24hr", params, weight=40 if len(part) > 20 else 2 * len(part), now=now
            )
            found |= parse_tickers(rows)
        return found

    def symbols(self, symbols: Sequence[str], now: datetime) -> dict[str, SymbolFacts]:
        """What the venue knows of these symbols. An unknown one makes it refuse the whole question: ask singly."""
        params = {"symbols": json.dumps(list(symbols), separators=(",", ":"))}
        answer = self._call("publicGetExchangeInfo", params, weight=20, now=now)
        rows = answer.get("symbols") if isinstance(answer, dict) else None
        if not isinstance(rows, list):
            raise FeedError("Binance's exchangeInfo has no list of symbols.")
        return {
            row["symbol"]: SymbolFacts(
                base=row["baseAsset"], quote=row["quoteAsset"], is_trading=row["status"] == "TRADING"
            )
            for row in rows
        }

    # --- How a call is made -------------------------------------------------------------------------------------

    def _call(self, method: str, params: dict[str, Any], *, weight: int, now: datetime) -> Any:
        until = ratelimit.blocked_until(VENUE, now)
        if until is not None:
            raise BudgetSpent(f"Binance has blocked us until {until:%H:%M:%S} UTC.")
        if not ratelimit.spend(VENUE, weight, now):
            raise BudgetSpent("The request budget for Binance is spent for this minute.")
        function: Callable[[dict[str, Any]], Any] = getattr(self._connect(), method)
        try:
            answer = self._within_deadline(function, params)
        except (ccxt.DDoSProtection, ccxt.RateLimitExceeded) as error:
            until = self._ban(str(error), now)
            ratelimit.block(VENUE, until)
            raise BudgetSpent(f"Binance refuses us until {until:%H:%M:%S} UTC (429 or 418).") from error
        except DeadlineExceeded as error:
            self._abandon()
            raise VenueUnreachable(f"Binance did not answer within {self._deadline_s:g} s.") from error
        except ccxt.OperationFailed as error:
            raise VenueUnreachable(f"Binance cannot be reached: {_reason(error)}") from error
        except ccxt.BadSymbol as error:
            raise UnknownSymbol(
                f"Binance does not know {params.get('symbol') or params.get('symbols')}."
            ) from error
        except (ccxt.BaseError, ValueError) as error:
            raise FeedError(f"Binance gave no usable answer: {_reason(error)}") from error
        self._note_weight(now)
        if not isinstance(answer, list | dict):
            raise FeedError(f"Binance gave no JSON: {str(answer)[:60]!r}")
        return answer

    @property
    def _deadline_s(self) -> float:
        return self._settings.binance_timeout_s

    def _within_deadline(self, function: Callable[[dict[str, Any]], Any], params: dict[str, Any]) -> Any:
        """ccxt's time limit is for each read; a venue that drips bytes would hold us for ever."""
        if self._worker is None:
            self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="binance")
        return self._worker.submit(function, params).result(timeout=self._deadline_s)

    def _abandon(self) -> None:
        """Leave the stuck connection and its thread; the next call starts with new ones."""
        if self._worker is not None:
            self._worker.shutdown(wait=False, cancel_futures=True)
        self._worker = self._exchange = None

    def _connect(self) -> Any:
        if self._exchange is None:
            exchange = ccxt.binance(
                {
                    # For each read; longer than our own deadline, so that only one of the two decides.
                    "timeout": int(self._deadline_s * 2000),
                    "enableRateLimit": False,  # the budget is shared by all processes, see ratelimit
                    "options": {
                        "defaultType": "spot",
                        "fetchMarkets": {"types": ["spot"]},
                        "fetchCurrencies": False,
                        "fetchMargins": False,
                    },
                }
            )
            redirect(exchange.urls["api"], self._settings.binance_url)
            self._exchange = exchange
        return self._exchange

    def _headers(self) -> dict[str, str]:
        headers = getattr(self._exchange, "last_response_headers", None) or {}
        return {str(name).lower(): str(value) for name, value in headers.items()}

    def _note_weight(self, now: datetime) -> None:
        used = self._headers().get(_WEIGHT_HEADER, "")
        if used.isdigit():
            ratelimit.record_used(VENUE, int(used), now)

    def _ban(self, text: str, now: datetime) -> datetime:
        """End of a block: what the message says, else Retry-After, else a minute; three days at most."""
        match = _BANNED_UNTIL.search(text)
        wait = self._headers().get("retry-after", "")
        if match is not None:
            until = datetime.fromtimestamp(int(match[1]) / 1000, UTC)
        elif wait.isdigit():
            until = now + timedelta(seconds=max(1, int(wait)))
        else:
            until = now + _DEFAULT_BAN
        return min(max(until, now + timedelta(seconds=1)), now + _LONGEST_BAN)


def redirect(urls: dict[str, Any], base: str) -> None:
    """Send every address of an exchange to `base`. All of them: one that is left leaks calls to the real venue."""
    if not base:
        return
    for name, url in urls.items():
        if isinstance(url, dict):
            redirect(url, base)
        elif isinstance(url, str):
            urls[name] = base.rstrip("/") + urlsplit(url).path


def _reason(error: Exception) -> str:
    text = re.sub(r"\s+", " ", str(error))
    return f"{type(error).__name__}: {text[:120]}"


# --- Parsing (pure; tested on recorded answers) -----------------------------------------------------------------


def parse_klines(rows: Any) -> Bars:
    """Bars of a klines answer. A field that is no number becomes NaN, for the gate to refuse; raises FeedError else."""
    if not isinstance(rows, list):
        raise FeedError(f"Binance's klines are no list: {str(rows)[:60]!r}")
    table = []
    for row in rows:
        if not isinstance(row, list) or len(row) < 6:
            raise FeedError(f"A kline of Binance has too few fields: {str(row)[:60]!r}")
        opened = number(row[0])
        if not math.isfinite(opened):
            raise FeedError(f"A kline of Binance has no time: {str(row)[:60]!r}")
        table.append((opened // 1000, *(number(value) for value in row[1:6])))
    return bars_of(table)


def parse_tickers(rows: Any) -> dict[str, QuoteTick]:
    """Quotes of a 24-hour ticker answer. Those without a positive last price are left out."""
    if not isinstance(rows, list):
        raise FeedError(f"Binance's tickers are no list: {str(rows)[:60]!r}")
    found: dict[str, QuoteTick] = {}
    for row in rows:
        last, closed = number(row.get("lastPrice")), number(row.get("closeTime"))
        if not (last > 0 and math.isfinite(last) and closed > 0 and math.isfinite(closed)):
            continue
        bid, ask, change = (number(row.get(name)) for name in ("bidPrice", "askPrice", "priceChangePercent"))
        has_book = 0 < bid <= ask and math.isfinite(ask)
        found[str(row.get("symbol"))] = QuoteTick(
            last=last,
            bid=bid if has_book else None,
            ask=ask if has_book else None,
            change_24h=change / 100 if math.isfinite(change) else None,
            at=datetime.fromtimestamp(closed / 1000, UTC),
        )
    return found


def number(value: object) -> float:
    """A float; NaN for anything that is none."""
    try:
        return float(value) if isinstance(value, str | int | float) else math.nan
    except ValueError:
        return math.nan
