"""Typed reader of settings.ORCHESTRATOR, and the fingerprint of the code this process runs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


@dataclass(frozen=True, kw_only=True, slots=True)
class Conf:
    """Times in seconds unless the name says otherwise. An unknown key in settings.ORCHESTRATOR stops the start-up."""

    tick_s: float = 1.0
    lease_ttl_s: float = 10.0  # a dead leader is replaced after at most this and one tick
    lease_renew_s: float = 3.0  # the leader renews when its lease is older than this
    run_lease_s: float = 30.0  # a run whose worker is silent for so long is abandoned
    heartbeat_s: float = 5.0
    sweep_s: float = 5.0
    requeue_s: float = 20.0  # a queued run nobody claimed is rung again; doubles each time
    requeue_limit: int = 6
    planned_grace_s: float = 5.0  # a planned run that was never queued lost its planner
    deadline_grace_s: float = 15.0  # after the deadline the soft stop and the sentinel get this long
    fold_flush_s: float = 60.0  # equal decisions reach the database this often per workflow
    max_plans_per_tick: int = 200
    max_decisions_per_tick: int = 2000  # more new ones than this are stored over several ticks, runs first
    max_attempts: int = 3
    failures_before_quarantine: int = 3
    quarantine_base_s: float = 60.0  # doubles with every quarantine
    quarantine_max_s: float = 3600.0
    quarantines_before_halt: int = 6
    abandoned_before_halt: int = 3  # a poisonous workflow gets this many starts
    beat_s: float = 5.0
    evaluation_retry_s: float = 15.0  # a workflow that cannot be evaluated is tried again after this; doubles
    evaluation_retry_max_s: float = 300.0


_KINDS = {"float": (int, float), "int": (int,)}


@cache
def conf() -> Conf:
    """The settings in force. Raises ImproperlyConfigured naming the wrong key."""
    given: dict[str, Any] = dict(getattr(settings, "ORCHESTRATOR", {}))
    known = {field.name: str(field.type) for field in fields(Conf)}
    for name, value in given.items():
        if name not in known:
            raise ImproperlyConfigured(
                f"ORCHESTRATOR has no setting {name!r}; known are: {', '.join(sorted(known))}."
            )
        if not isinstance(value, _KINDS[known[name]]) or isinstance(value, bool) or value <= 0:
            raise ImproperlyConfigured(f"ORCHESTRATOR[{name!r}] must be a number above 0, was {value!r}.")
    made = Conf(**given)
    if made.lease_renew_s >= made.lease_ttl_s or made.heartbeat_s * 2 > made.run_lease_s:
        raise ImproperlyConfigured(
            "ORCHESTRATOR: lease_renew_s must be below lease_ttl_s, and run_lease_s at least twice heartbeat_s."
        )
    return made


@cache
def code_version() -> str:
    """16 hex digits over all Python files of the product, as they were when this process started.

    Computed while apps load, before any worker forks: a worker that read the files later would hash new code while it
    runs the old. Two processes with different answers run different code and must not work for each other.
    """
    root = Path(__file__).resolve().parent.parent
    digest = hashlib.sha256()
    for folder in ("orchestrator", "assets", "tradingsite"):
        for path in sorted((root / folder).rglob("*.py")):
            if "tests" in path.parts:
                continue
            digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]
