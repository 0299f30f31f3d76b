"""A venue on loopback that answers like Alpaca's data API, with faults on request.

with LoopbackAlpaca(clock) as venue:
    venue.fault = Fault(status=429, retry_after=7)
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

from assets.markets.testkit.loopback import Loopback, Reply, Request
from assets.markets.testkit.venue import Fault, close_at

KEY, SECRET = "data-key-id", "data-secret-key"
_LENGTHS = {"1Min": 60, "5Min": 300, "15Min": 900, "1Hour": 3600, "1Day": 86400}


class LoopbackAlpaca(Loopback):
    """Trades happen on weekdays from 13:00 to 22:00 UTC, wider than the hours, as on the real exchange."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        super().__init__()
        self.now = now
        self.fault = Fault()
        self.page = 10_000
        self.unknown: set[str] = set()  # refused with the whole question
        self.silent: set[str] = set()  # known, but never traded there
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.recorded: dict[str, Any] = {}  # path ending -> payload given as it is
        self.book: tuple[float, float] = (-0.01, 0.01)  # bid and ask around the last price

    def count(self, ending: str) -> int:
        return sum(path.endswith(ending) for path, _ in self.requests)

    # --- Answers ------------------------------------------------------------------------------------------------

    def respond(self, request: Request) -> Reply:
        query = dict(parse_qsl(request.text))
        self.requests.append((request.path, query))
        given = {name.lower(): value for name, value in request.headers.items()}
        if (given.get("apca-api-key-id"), given.get("apca-api-secret-key")) != (KEY, SECRET):
            return Reply(403, b'{"message": "forbidden."}')
        fault = self.fault
        self.stopping.wait(fault.hang_s)
        if fault.body is not None:
            return Reply(200, fault.body)
        if fault.status:
            wait = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
            return Reply(fault.status, b'{"message": "something went wrong"}', wait)
        bad = sorted(self.unknown & set(query.get("symbols", "").split(",")))
        if bad:
            return Reply(400, json.dumps({"message": f"invalid symbol(s): {', '.join(bad)}"}).encode())
        return Reply(200, json.dumps(self._good(request.path, query)).encode())

    def _good(self, path: str, query: dict[str, str]) -> Any:
        for ending, payload in self.recorded.items():
            if path.endswith(ending):
                return payload
        symbols = [name for name in sorted(query["symbols"].split(",")) if name not in self.silent]
        if path == "/v2/stocks/bars":
            return self._bars(symbols, query)
        assert path == "/v2/stocks/snapshots", path
        return {symbol: self._snapshot() for symbol in symbols}

    def _bars(self, symbols: list[str], query: dict[str, str]) -> Any:
        """By symbol, then by time; the token is the place where the next page begins."""
        assert query["feed"] == "iex"
        times = self._times(query)
        rows = [(symbol, ts) for symbol in symbols for ts in times]
        start = int(query.get("page_token", 0))
        end = start + min(int(query["limit"]), self.page)
        found: dict[str, list[dict[str, Any]]] = {}
        for symbol, ts in rows[start:end]:
            found.setdefault(symbol, []).append(self._bar(ts))
        return {"bars": found, "next_page_token": str(end) if end < len(rows) else None}

    def _times(self, query: dict[str, str]) -> list[int]:
        """The running bar is given, too, when it lies before `end`."""
        length = _LENGTHS[query["timeframe"]]
        first, last = (int(datetime.fromisoformat(query[name]).timestamp()) for name in ("start", "end"))
        now = self.fault.frozen_at or self.now()
        last = min(last, int(now.timestamp()) // length * length)
        return [
            ts
            for ts in range(-(-first // length) * length, last + 1, length)
            if ts not in self.fault.missing and (length == 86400 or self._is_busy(ts))
        ]

    @staticmethod
    def _is_busy(ts: int) -> bool:
        at = datetime.fromtimestamp(ts, UTC)
        return at.weekday() < 5 and 13 <= at.hour < 22

    def _bar(self, ts: int) -> dict[str, Any]:
        opened = close_at(ts)
        close = opened * self.fault.spikes.get(ts, 1.0)
        return {
            "t": _text(datetime.fromtimestamp(ts, UTC)), "o": opened, "h": max(opened, close) + 0.5,
            "l": min(opened, close) * 0.995, "c": close, "v": 12, "n": 3, "vw": opened,
        }  # fmt: skip

    def _snapshot(self) -> dict[str, Any]:
        now = self.now()
        last = close_at(int(now.timestamp()))
        return {
            "latestTrade": {"t": _text(now), "x": "V", "p": last, "s": 100, "c": ["@"], "i": 1, "z": "B"},
            "latestQuote": {"t": _text(now), "ap": last + self.book[1], "as": 1, "bp": last + self.book[0], "bs": 1},
            "prevDailyBar": {"t": _text(now - timedelta(days=1)), "o": 1, "h": 1, "l": 1, "c": last / 1.025, "v": 1},
        }  # fmt: skip


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
