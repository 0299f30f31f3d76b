"""Where canaries report back, and how many workers of a lane have work in hand."""

from __future__ import annotations

import socket
from datetime import datetime

import psutil
from django.db.models import Max
from django_q.models import OrmQ

from orchestrator.models import ProcessBeat, Run
from tradingsite.foundation import clock


def host() -> str:
    """The name of this machine, as processes beat under it."""
    return socket.gethostname()[:60]


def new_token(lane: str, now: datetime) -> str:
    return f"{lane}:{host()}:{now.timestamp():.3f}"


def _name(lane: str) -> str:
    """One row per lane and host: workers of another machine do not vouch for those of this one."""
    return f"canary:{lane}@{host()}"


def record(lane: str, token: str) -> None:
    """A worker executed the canary: what `tasks.canary` does."""
    now = clock.now()
    ProcessBeat.objects.update_or_create(
        name=_name(lane),
        defaults={"role": "canary", "host": host(), "pid": 0, "beat_at": now, "info": {"token": token}},
        create_defaults={
            "role": "canary", "host": host(), "pid": 0, "started_at": now, "beat_at": now, "info": {"token": token}
        },
    )  # fmt: skip


def newest_here(lane: str) -> str:
    """The canary a worker of this host executed last, whoever sent it; "" when none did."""
    row = ProcessBeat.objects.filter(name=_name(lane)).values_list("info", flat=True).first()
    return str(row.get("token", "")) if row else ""


def taken_elsewhere(lane: str, token: str) -> bool:
    """Whether a worker of another host executed this one: all share the lane's queue."""
    rows = ProcessBeat.objects.filter(role="canary", name__startswith=f"canary:{lane}@").exclude(
        name=_name(lane)
    )
    return any(info.get("token") == token for info in rows.values_list("info", flat=True))


def busy_workers(lane: str) -> int:
    """How many living worker processes of this machine have a run of `lane` in hand."""
    rows = Run.objects.filter(status=Run.Status.RUNNING, lane=lane, worker__startswith=f"{host()}:")
    pids = {name.rpartition(":")[2] for name in rows.values_list("worker", flat=True)}
    # The run of a killed worker stays open until its lease ends; nobody is busy with it.
    return sum(1 for pid in pids if pid.isdigit() and psutil.pid_exists(int(pid)))


def newest_ticket(lane: str) -> int:
    """The number of the newest bell of a lane; 0 when it is empty."""
    newest: int | None = OrmQ.objects.filter(key=lane).aggregate(newest=Max("pk"))["newest"]
    return newest or 0


def waiting(lane: str, ticket: int) -> int:
    """How many bells up to `ticket` have not been dealt with."""
    return int(OrmQ.objects.filter(key=lane, pk__lte=ticket).count())
