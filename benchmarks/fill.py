"""Fill a migrated database with a plausible past: candles, balanced trades, decisions of the real engine, runs, equity.

    TRADING_VAR_DIR=/some/empty/dir python benchmarks/fill.py [--candles 100000] [--trades 10000] [--decisions 20000]

Bulk inserts, but what the services guarantee holds: journals balance to the last unit, positions follow from fills, run
histories are complete. Prices are those of the simulated feed.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.fill_trades import PAST, ZERO, S, Trades, bulk


@dataclass(kw_only=True)
class Filled:
    """What was made, and one primary key of each thing that has a page of its own."""

    candles: int
    trades: int
    decisions: int
    runs: int
    workflow: int
    run: int
    decision: int
    order: int
    instrument: int
    symbol: str
    asset_type: str


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--candles", type=int, default=100_000)
    parser.add_argument("--trades", type=int, default=10_000)
    parser.add_argument("--decisions", type=int, default=20_000)
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tradingsite.settings.dev")
    import django
    from django.core.management import call_command

    if "TRADING_VAR_DIR" not in os.environ:
        sys.stderr.write("Set TRADING_VAR_DIR: made-up trades do not belong into your own database.\n")
        return 2
    django.setup()
    call_command("migrate", verbosity=0, interactive=False)
    sys.stdout.write(f"{fill(options.candles, options.trades, options.decisions)}\n")
    return 0


def fill(candles: int, trades: int, decisions: int, seed: int = 7) -> Filled:
    """Fill the default database, which must be migrated and hold no orders. Raises RuntimeError when it has some."""
    from assets.trading.models import Order
    from orchestrator import testkit
    from tradingsite.foundation import clock
    from tradingsite.management.bootstrap import bootstrap

    if Order.objects.exists():
        raise RuntimeError("This database has orders already; fill an empty one.")
    rng, now = random.Random(seed), clock.now()
    bootstrap(now)
    testkit.switch_on(now - PAST)
    closes, stored = _candles(candles, now, rng)
    workflow, decision_pks, decision = _decisions(decisions, now, rng)
    run, run_count = _runs(decision_pks, now)
    order = Trades(closes, now, rng).make(trades)
    _equity(now, rng)
    _notices(now)
    row = next(iter(closes))
    return Filled(
        candles=stored, trades=trades, decisions=decisions, runs=run_count, workflow=workflow, run=run, decision=decision,
        order=order, instrument=row.pk,
        symbol=row.symbol, asset_type=row.asset_type,
    )  # fmt: skip


# --- Candles -------------------------------------------------------------------------------------------------


def _candles(count: int, now: datetime, rng: random.Random) -> tuple[dict[Any, list[float]], int]:
    """The newest minutes of every simulated instrument, shared evenly, and a quote each. Closes by instrument."""
    from assets.markets import timeframes
    from assets.markets.feeds.simulated import SimulatedFeed
    from assets.markets.models import Instrument, Quote
    from assets.markets.series import concat
    from assets.markets.services import candles

    rows = list(Instrument.objects.filter(is_demo=True, is_active=True).order_by("pk"))
    (each, rest), feed, minute = divmod(count, len(rows)), SimulatedFeed(), timeframes.seconds("1m")
    if not each:
        raise RuntimeError(f"At least one candle for each of {len(rows)} instruments, please.")
    last = int(now.timestamp()) // minute * minute - minute
    closes: dict[Any, list[float]] = {}
    stored = 0
    # Markets that close have minutes in about every fifth hour only, and none for days around a holiday.
    reach_s = 7 * each * minute + 5 * 86_400
    for i, row in enumerate(rows):
        bars = concat(list(feed.history(row, "1m", last - reach_s, last, now)))
        part = _last(bars, each + (i < rest))
        stored += candles.store(row, "1m", part, source="benchmark", now=now).inserted
        closes[row] = [float(value) for value in part.close]
        price = closes[row][-1]
        Quote.objects.update_or_create(
            instrument=row,
            defaults={
                "last": price, "bid": price * 0.9999, "ask": price * 1.0001, "change_24h": rng.gauss(0, 0.02),
                "at": now, "received_at": now, "last_bar_ts": last,
            },
        )  # fmt: skip
    return closes, stored


def _last(bars: Any, count: int) -> Any:
    names = ("ts", "open", "high", "low", "close", "volume")
    return type(bars)(**{name: getattr(bars, name)[-count:] for name in names})


# --- Decisions and runs --------------------------------------------------------------------------------------


def _decisions(
    count: int, now: datetime, rng: random.Random
) -> tuple[int, list[tuple[int, int, datetime]], int]:
    """Decisions of the real engine over varied inputs; returns (a workflow, [(workflow, decision, at)], a decision)."""
    from orchestrator.models import Decision, Workflow

    flows = list(Workflow.objects.order_by("pk"))
    patterns = {flow.pk: [_decide(flow, now, rng) for _ in range(150)] for flow in flows}
    step = PAST / count

    def rows() -> Iterable[Any]:
        for i in range(count):
            flow, at = flows[i % len(flows)], now - PAST + i * step
            pattern = patterns[flow.pk][rng.randrange(150)]
            shift = at - now
            moved = {
                name: pattern[name] + shift if pattern[name] is not None else None
                for name in ("decided_at", "last_seen_at", "next_run_at", "inputs_as_of")
            }
            yield Decision(workflow=flow, **(pattern | moved))

    made = bulk(Decision, rows())
    newest = {row.workflow_id: row for row in made}
    for flow in flows:
        row = newest[flow.pk]
        Workflow.objects.filter(pk=flow.pk).update(
            current_decision=row, next_run_at=row.next_run_at, interval_s=row.interval_after_s
        )
    trading = next(flow for flow in flows if flow.asset_type)
    return trading.pk, [(row.workflow_id, row.pk, row.decided_at) for row in made], newest[trading.pk].pk


def _decide(flow: Any, now: datetime, rng: random.Random) -> dict[str, Any]:
    from orchestrator.engine.decide import decide
    from orchestrator.engine.serialise import decision_to_row
    from orchestrator.engine.types import Bounds, Conditions, Exposure, History, HostLoad, Subject

    bounds = Bounds(min_s=flow.min_interval_s, base_s=flow.base_interval_s, max_s=flow.max_interval_s)
    subject = Subject(key=flow.slug, bounds=bounds, is_trading=bool(flow.asset_type))
    conditions = Conditions(
        as_of=now - 20 * S, is_open=rng.random() < 0.9, volatility=rng.uniform(0.1, 1.5), trend=rng.uniform(-1, 1),
        session_activity=rng.uniform(0.3, 2), data_age_s=rng.uniform(5, 130), data_age_limit_s=120.0,
    )  # fmt: skip
    exposure = Exposure(open_positions=rng.choice((0, 2)), exposure_ratio=rng.uniform(0, 1))
    load = HostLoad(cpu=rng.uniform(0, 1), ram=rng.uniform(0.3, 0.9), queue_depth=rng.randrange(4), workers=2)
    history = History(
        last_run_at=now - rng.uniform(0.1, 2) * flow.base_interval_s * S, interval_s=flow.base_interval_s
    )
    decision = decide(subject, conditions, exposure, load, history, now)
    return decision_to_row(
        decision,
        subject=subject,
        conditions=conditions,
        exposure=exposure,
        load=load,
        history=history,
        now=now,
    )


def _runs(decisions: Sequence[tuple[int, int, datetime]], now: datetime) -> tuple[int, int]:
    """A run from every fifth decision, each with its steps and its whole history. Returns a run and their number."""
    from orchestrator.models import Run, RunEvent, RunStep, Workflow

    runs = bulk(Run, (_run(i, *row) for i, row in enumerate(decisions[::5])))
    ends = {"succeeded": "succeed", "failed": "fail"}
    bulk(
        RunEvent,
        (
            RunEvent(row=run, event=event, from_status=before, to_status=after, at=at, epoch=epoch)
            for run in runs
            for event, before, after, at, epoch in (
                ("enqueue", "planned", "queued", run.queued_at, 0),
                ("claim", "queued", "running", run.started_at, 1),
                (ends[run.status], "running", run.status, run.finished_at, 1),
            )
        ),
    )
    bulk(
        RunStep,
        (
            RunStep(
                run=run, position=position, name=name, status="succeeded", started_at=run.started_at + position * S / 10,
                finished_at=run.started_at + (position + 1) * S / 10, changed=position == 2, summary={"seen": 4},
            )
            for run in runs
            for position, name in ((1, "analyze"), (2, "execute"))
        ),
    )  # fmt: skip
    for run in {run.workflow_id: run for run in runs}.values():
        Workflow.objects.filter(pk=run.workflow_id).update(
            last_run_at=run.started_at,
            last_finished_at=run.finished_at,
            last_result=run.status,
            mean_duration_s=0.4,
        )
    return runs[-1].pk, len(runs)


def _run(i: int, workflow_id: int, decision_id: int, at: datetime) -> Any:
    from orchestrator.models import Run

    failed = i % 40 == 39
    return Run(
        workflow_id=workflow_id, slot_at=at, status="failed" if failed else "succeeded", cause="cadence",
        decision_id=decision_id, lane="trading", priority=2, epoch=1, attempts=1, enqueued_count=1, planned_at=at,
        queued_at=at, enqueued_at=at, started_at=at + 0.15 * S, finished_at=at + 0.6 * S, expires_at=at + 600 * S,
        deadline_at=at + 90 * S, worker="bench:1", cpu_s=0.2, changed=None if failed else i % 3 == 0,
        error_code="RuntimeError" if failed else "", result={"execute": {"orders": 1}},
    )  # fmt: skip


# --- The rest ------------------------------------------------------------------------------------------------


def _equity(now: datetime, rng: random.Random) -> None:
    """An hourly equity curve of every account."""
    from assets.trading.models import Account, EquityPoint

    hours = int(PAST / timedelta(hours=1))
    rows = []
    for account in Account.objects.all():
        equity = peak = account.opening_balance
        for hour in range(hours):
            equity = (equity * Decimal(str(round(1 + rng.gauss(0, 0.002), 6)))).quantize(Decimal("0.01"))
            peak = max(peak, equity)
            rows.append(
                EquityPoint(
                    account=account, at=now - (hours - hour) * timedelta(hours=1), equity=equity, cash=equity,
                    unrealised=ZERO, peak=peak,
                )
            )  # fmt: skip
    bulk(EquityPoint, rows)


def _notices(now: datetime) -> None:
    """Some alerts, findings, audit entries and living processes."""
    from orchestrator.models import HealthEvent, ProcessBeat
    from tradingsite.foundation import alerts, audit

    for i in range(40):
        alerts.raise_alert(
            key=f"bench:{i}",
            code="feed-stale",
            severity="warning",
            subject=f"S{i}",
            now=now - i * timedelta(minutes=7),
        )
    for i in range(200):
        audit.record(
            action="bench.entry", actor=audit.system("bench"), object_type="nothing", object_id=str(i)
        )
    bulk(
        HealthEvent,
        [
            HealthEvent(
                component="feed", subject=f"S{i}", code="stale", severity="warning", opened_at=now - i * timedelta(hours=1),
                last_seen_at=now - i * timedelta(hours=1), closed_at=now - i * timedelta(hours=1) + 60 * S,
            )
            for i in range(1, 100)
        ],
    )  # fmt: skip
    for role in ("loop", "feed", "workers:trading", "workers:maintenance"):
        ProcessBeat.objects.create(
            name=f"{role}@bench:1",
            role=role,
            host="bench",
            pid=1,
            started_at=now - PAST,
            beat_at=now,
            info={"rss_mb": 90},
        )


if __name__ == "__main__":
    sys.exit(main())
