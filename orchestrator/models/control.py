"""The switch, the leases, the processes and the findings about them."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class ControlSwitch(models.Model):
    """The one switch (pk 1). Orders are refused unless it can be read and allows them."""

    class Position(models.TextChoices):
        RUNNING = "running", _("running")
        PAUSED = "paused", _("entries paused")
        DRAINING = "draining", _("draining")
        STOPPED = "stopped", _("stopped")

    position = models.CharField(max_length=12, choices=Position, default=Position.STOPPED)
    epoch = models.PositiveIntegerField(default=0)  # raised by every change
    reason = models.CharField(max_length=200, blank=True)
    changed_by = models.CharField(max_length=150, blank=True)
    changed_at = models.DateTimeField()

    class Meta:
        verbose_name = _("control switch")
        verbose_name_plural = _("control switch")  # there is one


class Lease(models.Model):
    """A named role held by one process at a time. Times are the database's clock."""

    name = models.CharField(max_length=64, primary_key=True)
    holder = models.CharField(max_length=120, blank=True)
    epoch = models.PositiveBigIntegerField(default=0)
    expires_at = models.DateTimeField()


class ProcessBeat(models.Model):
    """Heartbeat of a long-lived process (web, loop, feed, worker cluster) with its vital figures."""

    name = models.CharField(max_length=120, primary_key=True)  # role@host:pid
    role = models.CharField(max_length=32, db_index=True)
    host = models.CharField(max_length=64)
    pid = models.PositiveIntegerField()
    generation = models.CharField(max_length=40, blank=True)  # of the supervisor that started it
    started_at = models.DateTimeField()
    beat_at = models.DateTimeField()
    info = models.JSONField(default=dict)


class HealthEvent(models.Model):
    """A finding from its opening to its closing, with what was done about it."""

    class Severity(models.TextChoices):
        INFO = "info", _("information")
        WARNING = "warning", _("warning")
        CRITICAL = "critical", _("critical")

    component = models.CharField(
        max_length=64
    )  # database, queue, workers, loop, feed, clock, disk, memory, workflow
    subject = models.CharField(max_length=120, blank=True)  # which one: lane, slug, instrument
    code = models.CharField(max_length=64)
    severity = models.CharField(max_length=12, choices=Severity)
    opened_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)
    detail = models.JSONField(default=dict)
    remedy = models.CharField(max_length=64, blank=True)
    remedy_at = models.DateTimeField(null=True, blank=True)
    remedy_result = models.CharField(max_length=200, blank=True)
    remedy_count = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ("-opened_at", "-pk")
        constraints = (
            models.UniqueConstraint(
                fields=("component", "subject", "code"), condition=Q(closed_at=None), name="one_open_finding"
            ),
        )
