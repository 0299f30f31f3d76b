"""One tick of the decision loop over many workflows of a toy type, in a database of its own.

    python benchmarks/bench_cycle.py [--workflows 1000 10000] [--ticks 5]

Prints per size: the first tick (everything is new), idle ticks (nothing changes), ticks in which 1 % is due.
A tick spends up to 50 ms on explaining new decisions; that is included.
SQLite in a temporary directory; with TRADING_TEST_DATABASE_URL set, PostgreSQL (a database named bench_cycle).
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.loop import Loop, TickReport

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tradingsite.settings.test")
os.environ.setdefault("TEST_DB_SUFFIX", "bench-cycle")

TARGETS_MS = {1_000: 300.0, 10_000: 3_000.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workflows", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--ticks", type=int, default=5)
    options = parser.parse_args()

    import logging

    import django
    from django.test.utils import setup_databases, teardown_databases

    folder = tempfile.mkdtemp(prefix="bench-cycle-")
    try:
        django.setup()
        logging.disable(logging.WARNING)
        databases = setup_databases(verbosity=0, interactive=False)
        sys.stdout.write(
            "workflows   first ms   idle ms  (CPU)   1 % due  (CPU)  target ms  queries  planned\n"
        )
        for count in options.workflows:
            sys.stdout.write(measure(count, options.ticks) + "\n")
        teardown_databases(databases, verbosity=0)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measure(count: int, ticks: int) -> str:
    from django.db import connection, reset_queries
    from django.test.utils import CaptureQueriesContext

    from orchestrator import testkit
    from orchestrator.loop import Loop
    from orchestrator.models import Decision, Lease, Run, Workflow, WorkflowEvent, WorkflowRevision
    from orchestrator.probe import HostProbe
    from tradingsite.foundation import clock

    for model in (Run, Decision, WorkflowEvent, WorkflowRevision, Workflow, Lease):
        model.objects.all().delete()
    kind = testkit.toy_type(base_s=120.0)
    with testkit.registered(kind):
        now = clock.now()
        testkit.switch_on(now)
        fields = {
            "type_key": kind.key, "asset_type": "toys", "status": "active", "min_interval_s": 60,
            "base_interval_s": 120,
            "max_interval_s": 240, "params": {"size": 3}, "created_at": now, "updated_at": now,
        }  # fmt: skip
        Workflow.objects.bulk_create(
            (
                Workflow(slug=f"w{i}", name=f"w{i}", last_run_at=now - timedelta(seconds=i % 100), **fields)
                for i in range(count)
            ),
            batch_size=500,
        )
        loop = Loop(holder="bench", probe=HostProbe(), enqueue=testkit.SilentRing())
        first, _cpu, _report = timed(loop, clock.now())
        while timed(loop, now)[2].decisions_stored:
            pass  # the first decisions are stored over several ticks
        idle, due = [], []
        for _tick in range(ticks):
            reset_queries()
            with CaptureQueriesContext(connection) as queries:
                idle.append(timed(loop, now)[:2])
        for tick in range(ticks):
            Run.objects.all().delete()
            Workflow.objects.update(last_run_at=now)
            pks = list(Workflow.objects.order_by("pk").values_list("pk", flat=True)[tick::100])
            Workflow.objects.filter(pk__in=pks).update(last_run_at=now - timedelta(hours=1))
            wall, cpu, report = timed(loop, now)
            due.append((wall, cpu))
            planned = report.planned
    target = TARGETS_MS.get(count, float("nan"))
    idle_wall, idle_cpu = (statistics.median(column) for column in zip(*idle, strict=True))
    due_wall, due_cpu = (statistics.median(column) for column in zip(*due, strict=True))
    return (
        f"{count:>9}  {first:>9.0f}  {idle_wall:>8.0f} {idle_cpu:>7.0f}  {due_wall:>8.0f} {due_cpu:>7.0f}"
        f"  {target:>9.0f}  {len(queries):>7}  {planned:>7}"
    )


def timed(loop: Loop, now: datetime) -> tuple[float, float, TickReport]:
    """(wall ms, CPU ms, report) of one tick. On a busy machine the CPU figure is the one to compare."""
    wall, cpu = time.perf_counter(), time.process_time()
    report = loop.tick(now)
    return (time.perf_counter() - wall) * 1000, (time.process_time() - cpu) * 1000, report


if __name__ == "__main__":
    main()
