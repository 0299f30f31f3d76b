"""Runs: the truth about what was executed. The queue is only a bell."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from orchestrator.models.decision import Decision
from orchestrator.models.workflow import Workflow


class Run(models.Model):
    """One execution of a workflow, planned once per slot. Ids travel through the queue, nothing else does."""

    class Status(models.TextChoices):
        PLANNED = "planned", _("planned")
        QUEUED = "queued", _("queued")
        RUNNING = "running", _("running")
        SUCCEEDED = "succeeded", _("succeeded")
        FAILED = "failed", _("failed")
        TIMED_OUT = "timed_out", _("timed out")
        ABANDONED = "abandoned", _("abandoned")
        SKIPPED = "skipped", _("skipped")
        CANCELLED = "cancelled", _("cancelled")

    OPEN = (Status.PLANNED, Status.QUEUED, Status.RUNNING)

    workflow = models.ForeignKey(Workflow, on_delete=models.PROTECT, related_name="runs")
    slot_at = models.DateTimeField()  # the instant this run was due
    status = models.CharField(max_length=12, choices=Status, default=Status.PLANNED)
    cause = models.CharField(max_length=16)
    decision = models.ForeignKey(Decision, null=True, on_delete=models.SET_NULL, related_name="runs")
    lane = models.CharField(max_length=16)
    priority = models.PositiveSmallIntegerField()

    epoch = models.PositiveIntegerField(
        default=0
    )  # raised at every claim; a write with an older epoch is refused
    attempts = models.PositiveSmallIntegerField(default=0)  # counted at claim
    enqueued_count = models.PositiveSmallIntegerField(default=0)
    planned_at = models.DateTimeField()
    queued_at = models.DateTimeField(null=True, blank=True)
    enqueued_at = models.DateTimeField(null=True, blank=True)  # the newest ring of the bell
    started_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    deadline_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField()  # not started by then: skipped as too late
    finished_at = models.DateTimeField(null=True, blank=True)
    worker = models.CharField(max_length=120, blank=True)
    code_version = models.CharField(
        max_length=16, blank=True
    )  # of the planner: a worker with other code refuses it

    skip_reason = models.CharField(max_length=64, blank=True)
    error_code = models.CharField(max_length=64, blank=True)
    error_detail = models.TextField(blank=True)
    changed = models.BooleanField(null=True)  # did it change a target, stop, forecast or position?
    result = models.JSONField(default=dict)
    cpu_s = models.FloatField(null=True, blank=True)
    api_weight = models.PositiveIntegerField(default=0)
    requested_by = models.CharField(max_length=150, blank=True)

    class Meta:
        ordering = ("-slot_at", "-pk")
        constraints = (
            models.UniqueConstraint(fields=("workflow", "slot_at"), name="one_run_per_slot"),
            models.UniqueConstraint(
                fields=("workflow",),
                condition=Q(status__in=("planned", "queued", "running")),
                name="one_open_run_per_workflow",
            ),
        )
        indexes = (
            models.Index(fields=("status", "lease_until"), name="run_status_lease"),
            models.Index(fields=("workflow", "-slot_at"), name="run_recent"),
            models.Index(fields=("-finished_at",), name="run_finished"),
            models.Index(fields=("-slot_at", "-id"), name="run_timeline"),
        )

    def __str__(self) -> str:
        return f"run {self.pk}"


class RunEvent(models.Model):
    """One row per transition of a run."""

    row = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="events")
    event = models.CharField(max_length=24)
    from_status = models.CharField(max_length=12)
    to_status = models.CharField(max_length=12)
    at = models.DateTimeField()
    epoch = models.PositiveIntegerField(default=0)
    detail = models.JSONField(default=dict)

    class Meta:
        ordering = ("pk",)
        constraints = (
            models.UniqueConstraint(
                fields=("row",),
                condition=Q(
                    to_status__in=("succeeded", "failed", "timed_out", "abandoned", "skipped", "cancelled")
                ),
                name="one_terminal_event_per_run",
            ),
        )


class RunStep(models.Model):
    """One named step of a run, in order."""

    class Status(models.TextChoices):
        RUNNING = "running", _("running")
        SUCCEEDED = "succeeded", _("succeeded")
        FAILED = "failed", _("failed")
        SKIPPED = "skipped", _("skipped")

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="steps")
    position = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=64)
    status = models.CharField(max_length=12, choices=Status)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    changed = models.BooleanField(default=False)
    summary = models.JSONField(default=dict)
    error = models.TextField(blank=True)

    class Meta:
        ordering = ("run", "position")
        constraints = (models.UniqueConstraint(fields=("run", "position"), name="one_step_per_position"),)
        indexes = (models.Index(fields=("name", "-finished_at", "-id"), name="step_newest"),)
