"""Locks that follow from what happened: pure rules over closed trades. The same history gives the same locks, in a
backtest, a replay and in real time; nothing is remembered besides the history and what a person released.

    rules = Rules(cooldown_s=300, stops=3, stops_within_s=3600, stops_lock_s=7200)
    locks(trades, rules, now_s)      -> (Lock(kind="cooldown", subject="DOGE", ...), Lock(kind="stop_guard", subject="*", ...))

Times in epoch seconds, ratios as fractions of what was invested.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

ALL: Final = "*"
KINDS: Final = ("cooldown", "stop_guard", "max_drawdown", "low_profit")


@dataclass(frozen=True, kw_only=True, slots=True)
class ClosedTrade:
    """A position, or a part of one, that was closed. `gain` after costs / what it had cost; `by_stop`: a stop did it."""

    subject: str
    at_s: float
    gain: float
    by_stop: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """What locks entries and for how long. 0 (or no count) switches a rule off.

    cooldown: an instrument rests after each close. stop_guard: `stops` stops within `stops_within_s` lock everything.
    max_drawdown: the sum of gains fell by more than `drawdown` from its peak within the window: everything is locked.
    low_profit: an instrument whose last trades (at least `low_trades`) summed up below `low_gain` is locked.
    """

    cooldown_s: float = 0.0
    stops: int = 0
    stops_within_s: float = 0.0
    stops_lock_s: float = 0.0
    drawdown: float = 0.0
    drawdown_within_s: float = 0.0
    drawdown_lock_s: float = 0.0
    low_trades: int = 0
    low_gain: float = 0.0
    low_within_s: float = 0.0
    low_lock_s: float = 0.0

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if not (value >= 0 or name == "low_gain"):
                raise ValueError(f"{name} cannot be negative, was {value}.")

    @property
    def horizon_s(self) -> float:
        """How far back a trade can still lock anything."""
        return max(
            self.cooldown_s, self.stops_within_s + self.stops_lock_s, self.drawdown_within_s + self.drawdown_lock_s,
            self.low_within_s + self.low_lock_s,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Lock:
    """No entries into `subject` (ALL: into anything) until `until_s`. `value` met `limit` at `since_s`."""

    kind: str
    subject: str
    since_s: float
    until_s: float
    value: float
    limit: float
    detail: Mapping[str, float] = field(default_factory=dict)


def locks(
    trades: Sequence[ClosedTrade],
    rules: Rules,
    now_s: float,
    released: Mapping[tuple[str, str], float] | None = None,
) -> tuple[Lock, ...]:
    """Locks in force at `now_s`, at most one per kind and subject. `released`: trades of (kind, subject) up to then no
    longer count, because a person said so. Trades after `now_s` are not seen.
    """
    known = sorted((t for t in trades if t.at_s <= now_s), key=lambda t: t.at_s)
    let_go = released or {}

    def counted(kind: str, subject: str) -> list[ClosedTrade]:
        since = let_go.get((kind, subject), float("-inf"))
        return [t for t in known if t.at_s > since and subject in (ALL, t.subject)]

    subjects = sorted({t.subject for t in known})
    found = [_cooldown(counted("cooldown", name), name, rules, now_s) for name in subjects]
    found += [_low_profit(counted("low_profit", name), name, rules, now_s) for name in subjects]
    found.append(_stop_guard(counted("stop_guard", ALL), rules, now_s))
    found.append(_max_drawdown(counted("max_drawdown", ALL), rules, now_s))
    return tuple(lock for lock in found if lock is not None and lock.until_s > now_s)


def _cooldown(trades: list[ClosedTrade], subject: str, rules: Rules, now_s: float) -> Lock | None:
    if not (rules.cooldown_s and trades):
        return None
    last = trades[-1].at_s
    return Lock(
        kind="cooldown", subject=subject, since_s=last, until_s=last + rules.cooldown_s, value=now_s - last,
        limit=rules.cooldown_s,
    )  # fmt: skip


def _stop_guard(trades: list[ClosedTrade], rules: Rules, now_s: float) -> Lock | None:
    """The newest window that holds enough stops decides; its last stop begins the lock."""
    hits = [t.at_s for t in trades if t.by_stop]
    if not rules.stops:
        return None
    for last in range(len(hits) - 1, rules.stops - 2, -1):
        first = hits[last - rules.stops + 1]
        if hits[last] - first <= rules.stops_within_s:
            return Lock(
                kind="stop_guard", subject=ALL, since_s=hits[last], until_s=hits[last] + rules.stops_lock_s,
                value=float(rules.stops), limit=float(rules.stops), detail={"within_s": rules.stops_within_s},
            )  # fmt: skip
    return None


def _max_drawdown(trades: list[ClosedTrade], rules: Rules, now_s: float) -> Lock | None:
    """Each trade that lies further below the peak of its window than allowed begins the lock anew."""
    if not rules.drawdown:
        return None
    lock = None
    start = 0
    for end, trade in enumerate(trades):
        while trades[start].at_s < trade.at_s - rules.drawdown_within_s:
            start += 1
        total = peak = 0.0
        for earlier in trades[start : end + 1]:
            total += earlier.gain
            peak = max(peak, total)
        if trade.gain < 0.0 and peak - total >= rules.drawdown:
            lock = Lock(
                kind="max_drawdown", subject=ALL, since_s=trade.at_s, until_s=trade.at_s + rules.drawdown_lock_s,
                value=peak - total, limit=rules.drawdown, detail={"within_s": rules.drawdown_within_s},
            )  # fmt: skip
    return lock


def _low_profit(trades: list[ClosedTrade], subject: str, rules: Rules, now_s: float) -> Lock | None:
    if not (rules.low_trades and trades):
        return None
    last = trades[-1].at_s
    recent = [t for t in trades if t.at_s >= last - rules.low_within_s]
    total = sum(t.gain for t in recent)
    if len(recent) < rules.low_trades or total >= rules.low_gain:
        return None
    return Lock(
        kind="low_profit", subject=subject, since_s=last, until_s=last + rules.low_lock_s, value=total,
        limit=rules.low_gain, detail={"trades": float(len(recent))},
    )  # fmt: skip
