"""A workflow: one configured instance of a registered workflow type."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _


class Workflow(models.Model):
    """Configuration and standing of one workflow. Intervals in seconds, inside the type's bounds."""

    class Status(models.TextChoices):
        DRAFT = "draft", _("draft")
        ACTIVE = "active", _("running")
        PAUSED = "paused", _("paused")  # no run is planned
        HALTED = "halted", _("halted")  # kill switch or repeated failure: only a person makes it active again
        ARCHIVED = "archived", _("archived")

    slug = models.SlugField(unique=True, max_length=64)
    type_key = models.CharField(max_length=64, db_index=True)
    asset_type = models.CharField(max_length=32, blank=True, db_index=True)
    name = models.CharField(max_length=120)
    status = models.CharField(max_length=12, choices=Status, default=Status.DRAFT)
    status_reason = models.CharField(max_length=64, blank=True)
    entries_paused = models.BooleanField(default=False)

    min_interval_s = models.PositiveIntegerField()
    base_interval_s = models.PositiveIntegerField()
    max_interval_s = models.PositiveIntegerField()
    params = models.JSONField(default=dict)
    version = models.PositiveIntegerField(default=1)

    next_run_at = models.DateTimeField(null=True, blank=True)
    last_run_at = models.DateTimeField(null=True, blank=True)  # start of the newest run that was not skipped
    last_finished_at = models.DateTimeField(null=True, blank=True)
    last_result = models.CharField(max_length=12, blank=True)  # terminal status of the newest run
    interval_s = models.FloatField(null=True, blank=True)  # interval in force
    manual_requested_at = models.DateTimeField(null=True, blank=True)
    manual_requested_by = models.CharField(max_length=150, blank=True)
    consecutive_failures = models.PositiveIntegerField(default=0)
    quarantined_until = models.DateTimeField(null=True, blank=True)
    quarantine_count = models.PositiveIntegerField(default=0)
    consecutive_abandoned = models.PositiveIntegerField(
        default=0
    )  # runs in a row that lost their worker (poison)
    current_decision = models.ForeignKey(
        "orchestrator.Decision", null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    run_value = models.FloatField(default=1.0)  # learned value of a run, 1 = prior
    run_value_samples = models.PositiveIntegerField(default=0)
    mean_duration_s = models.FloatField(null=True, blank=True)  # exponentially weighted
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        ordering = ("slug",)
        constraints = (
            models.CheckConstraint(
                name="workflow_interval_order",
                condition=Q(
                    min_interval_s__gt=0,
                    min_interval_s__lte=F("base_interval_s"),
                    base_interval_s__lte=F("max_interval_s"),
                ),
                violation_error_code="interval_order",
            ),
        )
        indexes = (models.Index(fields=("status", "next_run_at"), name="workflow_due"),)

    def __str__(self) -> str:
        return self.name


class WorkflowEvent(models.Model):
    """One row per transition of a workflow's status."""

    row = models.ForeignKey(Workflow, on_delete=models.PROTECT, related_name="events")
    event = models.CharField(max_length=24)
    from_status = models.CharField(max_length=12)
    to_status = models.CharField(max_length=12)
    at = models.DateTimeField()
    detail = models.JSONField(default=dict)


class WorkflowRevision(models.Model):
    """Every configuration a workflow has had, for diffs and reverts."""

    workflow = models.ForeignKey(Workflow, on_delete=models.PROTECT, related_name="revisions")
    version = models.PositiveIntegerField()
    config = models.JSONField()  # name, intervals, params
    changed_by = models.CharField(max_length=150)
    changed_at = models.DateTimeField()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("workflow", "version"), name="one_revision_per_version"),
        )
