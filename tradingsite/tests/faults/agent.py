"""A process with the system's settings that answers questions about its database: one JSON line in, one out.

Started once per system, because starting Django takes seconds. Holds no connection between two questions.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from datetime import timedelta
from typing import Any

import django


def switch(position: str) -> dict[str, Any]:
    from orchestrator.services import control
    from tradingsite.foundation import audit, clock

    state = getattr(control, position)(audit.system("test"), clock.now(), "fault test")
    return {"position": state.position.value, "changed_at": state.changed_at}


def invariants(*codes: str) -> dict[str, list[str]]:
    from tradingsite.foundation import clock
    from tradingsite.foundation import invariants as checks

    return {r.code: list(r.violations) for r in checks.run(clock.db_now(), codes) if not r.ok}


def runs(**where: Any) -> list[dict[str, Any]]:
    from orchestrator.models import Run

    fields = ("pk", "workflow__slug", "status", "epoch", "attempts", "worker", "error_code", "skip_reason", "started_at",
              "queued_at", "finished_at", "enqueued_count")  # fmt: skip
    return list(Run.objects.filter(**where).order_by("pk").values(*fields))


def count(model: str, **where: Any) -> int:
    from django.apps import apps

    return apps.get_model(model).objects.filter(**where).count()


def update(model: str, where: dict[str, Any], values: dict[str, Any]) -> int:
    from django.apps import apps

    return apps.get_model(model).objects.filter(**where).update(**values)


def rows(model: str, fields: list[str], **where: Any) -> list[dict[str, Any]]:
    from django.apps import apps

    return list(apps.get_model(model).objects.filter(**where).order_by("pk").values(*fields))


def lease(name: str = "leader") -> dict[str, Any] | None:
    from orchestrator.models import Lease

    return Lease.objects.filter(pk=name).values("holder", "epoch").first()


def beats() -> list[dict[str, Any]]:
    from orchestrator.models import ProcessBeat
    from tradingsite.foundation import clock

    now = clock.db_now()
    found = ProcessBeat.objects.values("name", "role", "pid", "generation", "beat_at", "info")
    return [{**row, "age_s": (now - row["beat_at"]).total_seconds()} for row in found]


def age(model: str, field: str, seconds: float, **where: Any) -> int:
    """Make rows look `seconds` older."""
    from django.apps import apps
    from django.db.models import F

    chosen = apps.get_model(model).objects.filter(**where)
    return chosen.update(**{field: F(field) - timedelta(seconds=seconds)})


def queue(word: str) -> int:
    """Tamper with the queue's rows: duplicate, lose, spoil."""
    from django.db import transaction
    from django_q.models import OrmQ

    with transaction.atomic():
        found = list(OrmQ.objects.select_for_update())
        if word == "duplicate":
            OrmQ.objects.bulk_create(OrmQ(key=row.key, payload=row.payload, lock=row.lock) for row in found)
        elif word == "lose":
            OrmQ.objects.filter(pk__in=[row.pk for row in found]).delete()
        elif word == "spoil":
            for row in found:
                OrmQ.objects.filter(pk=row.pk).update(payload=row.payload[:-6] + "AAAAAA")
    return len(found)


def ring(run_ids: list[int]) -> int:
    from orchestrator.services import runs as service

    service.ring(run_ids)
    return len(run_ids)


def plan_many(slug: str, n: int, expires_s: float, lane: str) -> list[int]:
    """A backlog that is there at once: `n` workflows of a toy type with one queued run each."""
    from orchestrator.models import Run, Workflow
    from orchestrator.services import runs as service
    from orchestrator.services.runs import Wanted
    from tradingsite.foundation import clock

    now = clock.now()
    origin = Workflow.objects.get(slug=slug)
    Workflow.objects.bulk_create(
        Workflow(slug=f"{slug}-{i}", type_key=origin.type_key, name=f"{slug} {i}", status="active", min_interval_s=80000,
                 base_interval_s=86400, max_interval_s=90000, created_at=now, updated_at=now, last_run_at=now)
        for i in range(n)
    )  # fmt: skip
    pks = Workflow.objects.filter(slug__startswith=f"{slug}-").values_list("pk", flat=True)
    wanted = [
        Wanted(workflow_id=pk, slot_at=now, cause="manual", decision_id=None, lane=lane, priority=3,
               expires_at=now + timedelta(seconds=expires_s))
        for pk in pks
    ]  # fmt: skip
    ids = service.plan(wanted, now)
    assert len(ids) == n and Run.objects.filter(pk__in=ids).count() == n
    return service.enqueue(ids, now)


def start_delays(after: int, lane: str) -> list[float]:
    """Seconds from planning to start of the runs of a lane planned later than run `after`."""
    from orchestrator.models import Run

    found = Run.objects.filter(pk__gt=after, lane=lane, started_at__isnull=False)
    return [
        (start - planned).total_seconds() for start, planned in found.values_list("started_at", "planned_at")
    ]


def edit_fill() -> str:
    """By hand, past every service: what the database itself says to that."""
    from django.db import DatabaseError, connection

    try:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE trading_journalline SET amount = '1'")
    except DatabaseError as error:
        return str(error)
    return ""


def main() -> None:
    django.setup()
    from django.db import connections

    print(json.dumps({"ready": os.getpid()}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer: Any = {"value": globals()[asked["do"]](*asked["args"], **asked["with"])}
        except Exception as error:  # noqa: BLE001 - the test decides what to make of it
            answer = {"error": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()}
        connections.close_all()
        print(json.dumps(answer, default=str), flush=True)


if __name__ == "__main__":
    main()
