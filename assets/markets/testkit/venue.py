"""A venue on loopback that answers like Binance's public API, with faults on request.

with LoopbackVenue(clock) as venue:
    venue.fault = Fault(status=429, retry_after=7)
    client = BinanceClient(settings_for(venue.url))
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs

from assets.markets import timeframes
from assets.markets.testkit.loopback import Loopback, Reply, Request

_BASES = ("BTC", "ETH", "DOGE", "TEST", "GOOD", "BAD")


@dataclass
class Fault:
    """What goes wrong. Everything unset works."""

    status: int = 0  # 429, 418, 500 ...
    retry_after: int | None = None
    banned_until_ms: int | None = None
    body: bytes | None = None  # sent instead of JSON, with status 200
    hang_s: float = 0.0  # seconds until the answer
    missing: set[int] = field(default_factory=set)  # opening times (s) without a bar
    frozen_at: datetime | None = None  # no bars after this, but answers as always
    spikes: dict[int, float] = field(default_factory=dict)  # opening time (s) -> factor
    mapping: dict[str, tuple[str, str]] = field(default_factory=dict)  # symbol -> wrong base and quote
    symbols: set[str] | None = None  # the status and body faults are for these only


class LoopbackVenue(Loopback):
    """Bars are a fixed function of time, so a test knows each of them: close = 100 + minute of the day / 100."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        super().__init__()
        self.now = now
        self.fault = Fault()
        self.weight = 10
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.recorded: dict[str, Any] = {}  # path ending -> payload given as it is

    def count(self, ending: str) -> int:
        return sum(path.endswith(ending) for path, _ in self.requests)

    # --- Answers ------------------------------------------------------------------------------------------------

    def respond(self, request: Request) -> Reply:
        query = {name: values[0] for name, values in parse_qs(request.text).items()}
        return Reply(*self.answer(request.path, query))

    def answer(self, path: str, query: dict[str, str]) -> tuple[int, bytes, dict[str, str]]:
        self.requests.append((path, query))
        fault = self.fault
        headers = {"X-MBX-USED-WEIGHT-1M": str(self.weight)}
        if fault.hang_s:
            self.stopping.wait(fault.hang_s)
        if self._is_hit(fault, query):
            if fault.body is not None:
                return 200, fault.body, headers
            if fault.status:
                return self._refusal(fault, headers)
        for ending, payload in self.recorded.items():
            if path.endswith(ending):
                return 200, json.dumps(payload).encode(), headers
        return self._good(path, query, headers)

    @staticmethod
    def _is_hit(fault: Fault, query: dict[str, str]) -> bool:
        asked = query.get("symbol") or query.get("symbols", "")
        return fault.symbols is None or any(symbol in asked for symbol in fault.symbols)

    @staticmethod
    def _refusal(fault: Fault, headers: dict[str, str]) -> tuple[int, bytes, dict[str, str]]:
        if fault.retry_after is not None:
            headers["Retry-After"] = str(fault.retry_after)
        if fault.status >= 500:
            return fault.status, b'{"code":-1000,"msg":"An unknown error occurred."}', headers
        text = "Too many requests."
        if fault.banned_until_ms is not None:
            text = (
                f"Way too much request weight used; IP banned until {fault.banned_until_ms}. Use WebSocket."
            )
        return fault.status, json.dumps({"code": -1003, "msg": text}).encode(), headers

    def _good(
        self, path: str, query: dict[str, str], headers: dict[str, str]
    ) -> tuple[int, bytes, dict[str, str]]:
        if path.endswith("/klines"):
            body: Any = self.klines(query)
        elif path.endswith("/exchangeInfo"):
            wanted = json.loads(query["symbols"])
            if not all(symbol.startswith(_BASES) for symbol in wanted):
                return 400, json.dumps({"code": -1121, "msg": "Invalid symbol."}).encode(), headers
            body = {"serverTime": self._ms(), "symbols": [self._facts(symbol) for symbol in wanted]}
        elif path.endswith("/ticker/24hr"):
            body = [self._ticker(symbol) for symbol in json.loads(query["symbols"])]
        elif path.endswith("/time"):
            body = {"serverTime": self._ms()}
        else:
            return 404, json.dumps({"code": -1, "msg": "not here"}).encode(), headers
        return 200, json.dumps(body).encode(), headers

    def _ms(self) -> int:
        return int(self.now().timestamp() * 1000)

    def klines(self, query: dict[str, str]) -> list[list[Any]]:
        """Bars like the venue gives them: the last one is not finished."""
        length = timeframes.seconds(query["interval"])
        limit = int(query.get("limit", 500))
        now = self.fault.frozen_at or self.now()
        newest = int(now.timestamp()) // length * length
        if "startTime" in query:
            first = -(-int(query["startTime"]) // 1000 // length) * length
        else:
            first = newest - (limit - 1) * length
        times = [first + length * n for n in range(limit) if first + length * n <= newest]
        return [self._kline(ts, length) for ts in times if ts not in self.fault.missing]

    def _kline(self, ts: int, length: int) -> list[Any]:
        close = close_at(ts) * self.fault.spikes.get(ts, 1.0)
        opened = close_at(ts)
        return [
            ts * 1000, f"{opened:.8f}", f"{max(opened, close) + 0.5:.8f}", f"{min(opened, close) * 0.995:.8f}",
            f"{close:.8f}", "12.00000000", (ts + length) * 1000 - 1, "1200.0", 10, "6.0", "600.0", "0",
        ]  # fmt: skip

    def _ticker(self, symbol: str) -> dict[str, Any]:
        last = close_at(int(self.now().timestamp()))
        return {
            "symbol": symbol, "lastPrice": f"{last:.8f}", "bidPrice": f"{last - 0.01:.8f}",
            "askPrice": f"{last + 0.01:.8f}", "priceChangePercent": "2.500", "closeTime": self._ms(),
        }  # fmt: skip

    def _facts(self, symbol: str) -> dict[str, Any]:
        base, quote = self.fault.mapping.get(symbol, (symbol.removesuffix("USDT"), "USDT"))
        return {"symbol": symbol, "status": "TRADING", "baseAsset": base, "quoteAsset": quote, "filters": []}


def close_at(ts: int) -> float:
    """The venue's price at an epoch second."""
    return 100 + ts // 60 % 1440 / 100
