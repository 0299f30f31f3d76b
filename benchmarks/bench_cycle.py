"""One tick of the decision loop over many workflows of a toy type, in a database of its own.

    python benchmarks/bench_cycle.py [--workflows 1000 10000] [--ticks 5]

Prints per size (a tick spends up to 50 ms on explaining new decisions; that is included): the first tick (everything is new and due), idle ticks (nothing changes), ticks in which 1 % is due.
SQLite in a temporary directory; with TRADING_TEST_DATABASE_URL set, PostgreSQL (a database named bench_cycle).
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

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
        print(
            f"{'workflows':>9}  {'first ms':>9}  {'idle ms':>9}  {'1 % due ms':>10}  {'target ms':>9}  queries idle"
        )
        for count in options.workflows:
            print(measure(count, options.ticks))
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
            "type_key": kind.key, "asset_type": "toys", "status": "active", "min_interval_s": 60, "base_interval_s": 120,
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
        first = loop.tick(clock.now()).seconds * 1000
        idle, due = [], []
        for _tick in range(ticks):
            reset_queries()
            with CaptureQueriesContext(connection) as queries:
                idle.append(loop.tick(now).seconds * 1000)
        for tick in range(ticks):
            Run.objects.all().delete()
            pks = list(Workflow.objects.order_by("pk").values_list("pk", flat=True)[tick::100])
            Workflow.objects.filter(pk__in=pks).update(last_run_at=now - timedelta(hours=1))
            due.append(loop.tick(now).seconds * 1000)
    target = TARGETS_MS.get(count, float("nan"))
    return (
        f"{count:>9}  {first:>9.0f}  {statistics.median(idle):>9.0f}  {statistics.median(due):>10.0f}  {target:>9.0f}"
        f"  {len(queries)}"
    )


if __name__ == "__main__":
    main()
