"""Decisions: every one that changes anything; equal ones are folded into the newest."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from orchestrator.models.workflow import Workflow


class Decision(models.Model):
    """What the engine decided, from what, and why. Text is built at render time, never stored."""

    class Action(models.TextChoices):
        RUN = "run", _("run")
        WAIT = "wait", _("wait")
        SKIP = "skip", _("skip")

    workflow = models.ForeignKey(Workflow, on_delete=models.CASCADE, related_name="decisions")
    decided_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()  # the newest equal decision
    fold_count = models.PositiveIntegerField(default=1)
    fold_key = models.CharField(max_length=120)
    action = models.CharField(max_length=8, choices=Action)
    cause = models.CharField(max_length=16, blank=True)
    interval_before_s = models.FloatField(null=True, blank=True)
    interval_after_s = models.FloatField()
    next_run_at = models.DateTimeField(null=True, blank=True)
    priority = models.PositiveSmallIntegerField()
    log_interval = models.FloatField()  # = sum of the factors' contributions
    factors = models.JSONField(default=list)  # [{code, value, threshold, contribution}]
    gates = models.JSONField(default=list)  # those that held: [{code, value, limit}]
    inputs = models.JSONField(default=dict)  # conditions, exposure, load, history as seen
    inputs_as_of = models.DateTimeField(null=True, blank=True)
    data_age_s = models.FloatField(null=True, blank=True)
    data_age_limit_s = models.FloatField(null=True, blank=True)
    rule_version = models.CharField(max_length=16)

    class Meta:
        ordering = ("-decided_at", "-pk")
        indexes = (
            models.Index(fields=("workflow", "-decided_at"), name="decision_recent"),
            models.Index(fields=("-decided_at", "-id"), name="decision_timeline"),
            # Polled pages ask "anything new?" by the newest of these, every few seconds.
            models.Index(fields=("-last_seen_at",), name="decision_last_seen"),
        )
