"""Our side of bench_latency.py: real loop and workers on a fresh database; writes answer.json into the given folder.

python -m benchmarks.latency_ours FOLDER, with benchmarks.settings; offsets.json in the folder says what is due when.
A workflow is made due at an instant by setting its last run to one interval before.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks import common
from benchmarks.common import Processes
from benchmarks.schedule import BURST, SPREAD, Due

LEAD_S = (
    3.0  # a group of instants is announced so long before its first: the loop learns of it at its next tick
)
PATIENCE_S = 20.0
URL = "TRADING_DATABASE_URL"


def main(folder: Path) -> None:
    common.stop_in_order()
    plan = [Due(*row) for row in json.loads((folder / "offsets.json").read_text())]
    test_url = os.environ.pop("TRADING_TEST_DATABASE_URL", "")
    if test_url:
        os.environ[URL] = _fresh_database(test_url)
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0, interactive=False)
    pks = _workflows(1 + max(due.workflow for due in plan))
    manage = [sys.executable, str(common.ROOT / "manage.py")]
    with Processes(folder) as processes:
        env = dict(os.environ)
        processes.start("loop", [*manage, "loop"], env)
        processes.start(
            "workers", [*manage, "workers", "--lane", "trading"], env | {"Q_CLUSTER_NAME": "trading"}
        )
        _wait_until_ready(processes, len(pks))
        start = _drive(plan, pks, processes)
        _wait_for_starts(len(plan), processes)
    answer = _answer(plan, pks, start)
    (folder / "answer.json").write_text(json.dumps(answer))


def _fresh_database(url: str) -> str:
    """A database of our own on the server of `url`; the cluster is thrown away as a whole afterwards."""
    import psycopg

    name = f"bench_latency_{os.getpid()}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    head, _, query = url.partition("?")
    return f"{head.rsplit('/', 1)[0]}/{name}" + (f"?{query}" if query else "")


def _workflows(count: int) -> list[int]:
    from benchmarks.toys.apps import INTERVAL, TYPE_KEY
    from orchestrator import plugins, testkit
    from orchestrator.models import Workflow
    from orchestrator.services import workflows
    from tradingsite.foundation import clock

    now = clock.now()
    workflows.sync_from_plugins(now)
    Workflow.objects.update(last_run_at=now)
    kind = plugins.get(TYPE_KEY)
    made = [
        testkit.make_workflow(kind, now, slug=f"toy-{i}", last_run_at=now - INTERVAL / 2)
        for i in range(count)
    ]
    testkit.switch_on(now)
    return [row.pk for row in made]


def _wait_until_ready(processes: Processes, count: int) -> None:
    """Every workflow has a decision, and a worker executed a canary: all processes are up."""
    from orchestrator.models import Decision, ProcessBeat

    until = time.perf_counter() + 120
    while True:
        processes.require_alive()
        decided = Decision.objects.values("workflow").distinct().count()
        roles = set(ProcessBeat.objects.values_list("role", flat=True))
        if decided >= count and "canary" in roles:
            return
        if time.perf_counter() > until:
            raise RuntimeError(
                f"not ready: {decided} decisions, {roles}\n{processes.log('loop')}\n{processes.log('workers')}"
            )
        time.sleep(0.2)


def _drive(plan: Sequence[Due], pks: Sequence[int], processes: Processes) -> float:
    """Announce group after group; returns the epoch second the offsets count from."""
    from django.db import transaction

    from benchmarks.toys.apps import INTERVAL
    from orchestrator.models import Workflow
    from orchestrator.services.bulk import set_columns
    from tradingsite.foundation import clock

    start = clock.now().timestamp() + LEAD_S + 1.0
    groups: dict[str, list[Due]] = {}
    for due in plan:
        groups.setdefault(due.key.rsplit("-", 1)[0], []).append(due)
    for group in groups.values():
        time.sleep(max(0.0, start + group[0].at - LEAD_S - clock.now().timestamp()))
        processes.require_alive()
        rows = [(datetime.fromtimestamp(start + due.at, UTC) - INTERVAL, pks[due.workflow]) for due in group]
        with transaction.atomic():
            set_columns(Workflow, ("last_run_at",), rows)
    time.sleep(max(0.0, start + plan[-1].at - clock.now().timestamp()))
    return start


def _wait_for_starts(count: int, processes: Processes) -> None:
    from orchestrator.models import Run

    until = time.perf_counter() + PATIENCE_S
    while time.perf_counter() < until:
        processes.require_alive()
        if Run.objects.filter(workflow__slug__startswith="toy-", status="succeeded").count() >= count:
            return
        time.sleep(0.2)


def _answer(plan: Sequence[Due], pks: Sequence[int], start: float) -> dict[str, Any]:
    """Latency of each planned instant, from the decision in force before its run."""
    from orchestrator.models import Decision, Run

    ms: dict[str, list[float]] = {BURST: [], SPREAD: []}
    planned: dict[str, list[float]] = {BURST: [], SPREAD: []}
    missing, moved = 0, 0
    for due in plan:
        at = datetime.fromtimestamp(start + due.at, UTC)
        early = timedelta(seconds=0.5)
        runs = Run.objects.filter(
            workflow_id=pks[due.workflow], slot_at__gte=at - early, started_at__isnull=False
        )
        run = runs.order_by("slot_at").first()
        if run is None or run.started_at is None:
            missing += 1
            continue
        waits = Decision.objects.filter(
            workflow_id=run.workflow_id, action="wait", decided_at__lt=run.slot_at
        )
        decision = waits.order_by("-decided_at", "-pk").first()
        promised = at if decision is None or decision.next_run_at is None else decision.next_run_at
        if abs((promised - at).total_seconds()) > 0.05:
            moved, promised = moved + 1, at
        planned[due.phase].append((run.slot_at - promised).total_seconds() * 1000)
        ms[due.phase].append((run.started_at - promised).total_seconds() * 1000)
    remarks = [f"{missing} of {len(plan)} did not start"] if missing else []
    if moved:
        remarks.append(f"{moved} had no decision in force that said so; counted from the instant itself")
    remarks += [
        f"{phase}: planned after {common.percentile(values, 0.5):.0f} / {common.percentile(values, 0.95):.0f} ms (p50 / p95)"
        for phase, values in planned.items()
        if values
    ]
    statuses = sorted(set(Run.objects.values_list("status", flat=True)))
    if statuses != ["succeeded"]:
        remarks.append(f"runs ended as {', '.join(statuses)}")
    return {"ms": ms, "remarks": remarks}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
