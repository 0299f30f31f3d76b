"""Drives observe, decide, plan, claim, run, order, fill, ledger on a virtual clock.

Time jumps from one instant at which something can happen to the next: a bar closes, a run is due, a session opens or
closes. Between those nothing the engine looks at changes, so ticks there would be folded away.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from assets.markets.selectors.replay import bar_closes
from assets.trading.selectors.replay import fill_count, order_count
from assets.trading.services import accounts, equity, matching, protective_stops
from orchestrator import runner
from orchestrator.engine.types import HostLoad
from orchestrator.loop import Loop
from orchestrator.selectors.replay import decision_count, next_due_at, open_run_ids, run_counts
from orchestrator.services import control, workflows
from tradingsite.foundation import audit, clock

EQUITY_EVERY = timedelta(hours=1)
_COLLECT_AFTER = 20_000  # allocations; Python looks at 700. Little of what a replay makes is in cycles


class SteadyHost:
    """A machine with time to spare: a replay must not depend on the machine it happens to run on."""

    def read(self) -> HostLoad:
        return HostLoad(cpu=0.1, ram=0.3, queue_depth=0, queue_oldest_s=0.0, workers=2)


def prepare(asset_types: Sequence[str], now: datetime, *, bar_s: int) -> None:
    """Workflows, paper accounts and the switch, as a first start would make them, for these asset types only.

    `bar_s`: length of the finest bars that are played.
    """
    actor = audit.system("replay")
    workflows.sync_from_plugins(now)
    workflows.keep_only_for_replay(asset_types, actor=actor, now=now)
    workflows.pace_for_replay(bar_s, actor=actor, now=now)
    accounts.ensure_paper_accounts(now, is_demo=False)
    control.start(actor=actor, now=now, reason="replay")


def drive(
    start: datetime,
    end: datetime,
    *,
    virtual: clock.VirtualClock,
    bar_s: int,
    execute: Callable[[Sequence[int]], None],
    on_progress: Callable[[datetime], None],
) -> int:
    """Run the system from `start` until `end`; returns the number of instants visited.

    `execute` runs the given open runs to their end before time goes on. `bar_s`: length of the finest bars.
    """
    # Prices stand still between two closes, and orders fill at closes only.
    equity_every = max(EQUITY_EVERY, timedelta(seconds=bar_s))
    loop = Loop(holder="replay", probe=SteadyHost(), enqueue=lambda run_ids: None)
    closes = _bar_closes(start, end)
    next_close = next(closes, None)
    next_snapshot = now = start
    ticks = 0
    while now < end:
        virtual.advance_to(now)
        if next_close is not None and next_close <= now:
            matching.match(now)
            protective_stops.keep(now)
            next_close = next(closes, None)
        if loop.tick(now).planned:
            execute(open_run_ids())
        if now >= next_snapshot:
            equity.snapshot(now)
            next_snapshot = now + equity_every
        ticks += 1
        on_progress(now)
        now = _next_instant(now, end, next_close)
    virtual.advance_to(end)
    matching.match(end)
    equity.snapshot(end)
    loop.resign()
    return ticks


@contextmanager
def rare_collection() -> Iterator[None]:
    """Let the garbage collector leave alone what is loaded by now, and look at the rest less often."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, before[1], before[2])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def inline(run_ids: Sequence[int]) -> None:
    """Execute in this process, as a worker would."""
    for run_id in run_ids:
        runner.execute(run_id)


def _bar_closes(start: datetime, end: datetime) -> Iterator[datetime]:
    """The instants in (start, end] at which at least one instrument's bar closes, ascending."""
    for ts in bar_closes(start, end):
        yield datetime.fromtimestamp(ts, UTC)


def _next_instant(now: datetime, end: datetime, next_close: datetime | None) -> datetime:
    candidates = [end]
    if next_close is not None:
        candidates.append(next_close)
    due = next_due_at(after=now)
    if due is not None:
        candidates.append(due)
    later = [instant for instant in candidates if instant > now]
    return min(later)


def totals(before: dict[str, int] | None = None) -> dict[str, int]:
    """How many decisions, runs, orders and fills there are, or how many more than `before`."""
    now = {
        "decisions": decision_count(),
        "runs": sum(sum(ends.values()) for ends in run_counts().values()),
        "orders": order_count(),
        "fills": fill_count(),
    }
    return now if before is None else {name: count - before[name] for name, count in now.items()}
