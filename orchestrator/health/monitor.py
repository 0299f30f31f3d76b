"""Keeps the open findings as rows, applies remedies within their budget, and raises alerts."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from django.db import DatabaseError, InterfaceError, transaction
from django.utils.translation import gettext_lazy as _

from orchestrator.health import checks, remedies
from orchestrator.health.findings import Finding, HealingBudget, draw
from orchestrator.models import HealthEvent
from orchestrator.services import beats, runs
from tradingsite.foundation import alerts, audit, clock

logger = logging.getLogger(__name__)

Key: TypeAlias = tuple[str, str, str]

BUDGET = HealingBudget()
_FORGOTTEN = timedelta(minutes=10)  # a process silent for so long is history


class Monitor:
    """One pass: measure, judge, heal, tell. Only the leader of the loop runs it."""

    def __init__(self, *, is_starting: bool = False) -> None:
        """`is_starting`: the other processes were started with this one, and may need a moment to be heard."""
        self._since = clock.monotonic() if is_starting else -math.inf
        self._clock_watch = checks.ClockWatch()
        self._told: dict[str, str] = {}  # alert -> severity this monitor has raised it with

    def run(self, now: datetime) -> tuple[Finding, ...]:
        """Returns what was found, worst first within the orchestrator, then the apps'. Raises database errors only."""
        found = (*self._own(now), *_from_apps(now))
        open_rows = {_key(row): row for row in HealthEvent.objects.filter(closed_at=None)}
        seen: set[Key] = set()
        for finding in found:
            key = (finding.component, finding.subject, finding.code)
            if key in seen:
                continue
            seen.add(key)
            row = _record(open_rows.get(key), finding, now)
            self._tell(row, finding, now)
            self._heal(row, finding, now)
        for key, row in open_rows.items():
            if key not in seen:
                self._close(row, now)
        if not any(finding.component in ("code", "check") for finding in found):
            runs.forget_other_code(now)
        beats.purge(now - _FORGOTTEN)
        return found

    def _own(self, now: datetime) -> Iterable[Finding]:
        try:
            return draw(checks.measure(now, self._clock_watch, clock.monotonic() - self._since))
        except (DatabaseError, InterfaceError):
            raise
        except Exception:
            logger.exception("The monitor cannot measure")
            return (Finding(component="check", subject="orchestrator", code="failed", severity="warning"),)

    def _tell(self, row: HealthEvent, finding: Finding, now: datetime) -> None:
        """Raise the alert once per episode, and again when it gets worse."""
        if finding.severity == "info":
            return
        self._raise(
            _alert_key(row), now, code=f"health-{finding.component}-{finding.code}", severity=finding.severity,
            subject=finding.subject or finding.component, params=dict(finding.detail),
        )  # fmt: skip

    def _raise(self, key: str, now: datetime, *, severity: str, **values: Any) -> None:
        if self._told.get(key) == severity:
            return
        alerts.raise_alert(key=key, severity=severity, now=now, **values)
        self._told[key] = severity

    def _close(self, row: HealthEvent, now: datetime) -> None:
        row.closed_at = now
        row.save(update_fields=["closed_at"])
        for key in (_alert_key(row), _flapping_key(row)):
            self._told.pop(key, None)
            alerts.resolve_alert(key, now)

    def _heal(self, row: HealthEvent, finding: Finding, now: datetime) -> None:
        if not finding.remedy:
            return
        recent = _recent_remedies(row, now)
        if recent and now - max(recent) < BUDGET.pause:
            return  # give the last one time to work
        if not BUDGET.allows(recent, now):
            self._raise(
                _flapping_key(row), now, code="health-flapping", severity="critical",
                subject=finding.subject or finding.component,
                params={"component": finding.component, "count": len(recent), "remedy": finding.remedy},
            )  # fmt: skip
            return
        result = remedies.apply(finding, now)
        with transaction.atomic():
            row.remedy, row.remedy_at, row.remedy_result = finding.remedy, now, result[:200]
            row.remedy_count += 1
            row.detail = {**dict(finding.detail), "remedies": [at.isoformat() for at in (*recent, now)][-10:]}
            row.save(update_fields=["remedy", "remedy_at", "remedy_result", "remedy_count", "detail"])
            audit.record(
                action=f"health.{finding.remedy}", actor=audit.system("health"), object_type="health_event",
                object_id=row.pk, after={"finding": finding.code, "subject": finding.subject, "result": result},
            )  # fmt: skip


def _from_apps(now: datetime) -> Iterable[Finding]:
    for name, check in checks.registered().items():
        try:
            yield from check(now)
        except (DatabaseError, InterfaceError):
            raise
        except Exception:
            logger.exception("Health check %s failed", name)
            yield Finding(component="check", subject=name, code="failed", severity="warning")


def _key(row: HealthEvent) -> Key:
    return row.component, row.subject, row.code


def _record(row: HealthEvent | None, finding: Finding, now: datetime) -> HealthEvent:
    row = row or _earlier(finding, now)
    if row is None:
        return HealthEvent.objects.create(
            component=finding.component, subject=finding.subject, code=finding.code, severity=finding.severity,
            opened_at=now, last_seen_at=now, detail=dict(finding.detail),
        )  # fmt: skip
    row.last_seen_at, row.closed_at, row.severity = now, None, finding.severity
    row.detail = {**dict(finding.detail), **{k: v for k, v in row.detail.items() if k == "remedies"}}
    row.save(update_fields=["last_seen_at", "closed_at", "severity", "detail"])
    return row


def _earlier(finding: Finding, now: datetime) -> HealthEvent | None:
    """The same trouble, over for less than ten minutes: one episode. Its remedies still count, or it would heal for ever."""
    closed = HealthEvent.objects.filter(
        component=finding.component,
        subject=finding.subject,
        code=finding.code,
        closed_at__gte=now - BUDGET.window,
    )
    return closed.order_by("-closed_at").first()


def _alert_key(row: HealthEvent) -> str:
    return f"health:{row.component}:{row.subject}:{row.code}"


def _flapping_key(row: HealthEvent) -> str:
    return f"health:flapping:{row.component}:{row.subject}"


def _recent_remedies(row: HealthEvent, now: datetime) -> list[datetime]:
    times = [datetime.fromisoformat(text) for text in row.detail.get("remedies", [])]
    return [at for at in times if now - at <= BUDGET.window]


def register_texts() -> None:
    """How the monitor's alerts read. Called while apps load."""
    for code, title, body in (
        ("health-flapping", _("Healing %(component)s does not help"),
         _("%(remedy)s was tried %(count)s times in ten minutes for %(subject)s. Healing stopped; please look at Health.")),
        ("health-database-slow", _("The database is slow"), _("A trivial query took %(ms)s ms (limit %(limit_ms)s ms).")),
        ("health-loop-missing", _("The decision loop is missing"), _("No sign of life from the loop: no run is planned.")),
        ("health-feed-missing", _("The market feed is missing"), _("No sign of life from the feed: prices are not updated.")),
        ("health-workers-missing", _("Workers of lane %(subject)s are missing"), _("No sign of life for more than %(limit_s)s s.")),
        ("health-workers-canary_late", _("Workers of lane %(subject)s do not execute"),
         _("The canary task was not answered for %(age_s)s s. The cluster is restarted.")),
        ("health-queue-backlog", _("Runs wait too long in lane %(subject)s"),
         _("The oldest of %(depth)s waiting runs is %(oldest_s)s s old.")),
        ("health-clock-jumped", _("The clock of this machine jumped"), _("By %(jump_s)s s. Leases use the database's clock; check time synchronisation.")),
        ("health-clock-differs", _("The clock of %(subject)s is wrong"),
         _("It is %(off_s)s s ahead of the database's, whose time is used instead. Check time synchronisation.")),
        ("health-disk-low", _("Little disk space left"), _("%(free_mb)s MB are free.")),
        ("health-memory-high", _("Memory is nearly full"), _("%(used)s of the memory is used; research work is delayed.")),
        ("health-workflow-quarantined", _("Workflow %(subject)s is in quarantine"), _("It failed %(failures)s times and rests until %(until)s.")),
        ("health-workflow-failing", _("Workflow %(subject)s keeps failing"), _("%(failures)s failures in a row.")),
        ("health-workflow-overdue", _("Workflow %(subject)s is overdue"), _("It should have run %(overdue_s)s s ago.")),
        ("health-code-differs", _("Processes run different code"),
         _("%(versions)s versions are running at once; runs of one are refused by workers of the other. Restart the system.")),
        ("health-check-failed", _("Health check %(subject)s failed"), _("The check itself raised an error; see the log.")),
    ):  # fmt: skip
        alerts.register_text(code, title, body)
