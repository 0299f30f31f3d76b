"""Changes of limits that wait, and protections a person let go."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from assets.trading.models.account import Account


class LimitChange(models.Model):
    """One changed limit of an account. What tightens counts at once, what loosens waits until `effective_at`."""

    class Status(models.TextChoices):
        WAITING = "waiting", _("waiting")
        APPLIED = "applied", _("applied")
        WITHDRAWN = "withdrawn", _("withdrawn")

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="limit_changes")
    field = models.CharField(max_length=32)
    before = models.JSONField()
    after = models.JSONField()
    loosens = models.BooleanField()
    status = models.CharField(max_length=10, choices=Status, default=Status.WAITING)
    requested_by = models.CharField(max_length=150)
    requested_at = models.DateTimeField()
    effective_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ("-requested_at", "-pk")
        constraints = (
            models.UniqueConstraint(
                fields=("account", "field"),
                condition=Q(status="waiting"),
                name="one_waiting_change_per_limit",
            ),
        )


class RiskPoint(models.Model):
    """The risk of an account at an instant. What the market says (all but score and parts) is read from the newest one."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="risk_points")
    at = models.DateTimeField()
    score = models.FloatField()
    parts = models.JSONField()
    value_at_risk = models.FloatField(null=True)
    shortfall = models.FloatField(null=True)
    samples = models.PositiveIntegerField(default=0)
    exit_share = models.FloatField(null=True)
    regime = models.FloatField(null=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("account", "at"), name="one_risk_point_per_instant"),)


class ProtectionRelease(models.Model):
    """A person let a lock go: trades up to `at` no longer count for it."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="protection_releases")
    kind = models.CharField(max_length=16)
    subject = models.CharField(max_length=32)  # a symbol, or * for all
    at = models.DateTimeField()
    released_by = models.CharField(max_length=150)
    reason = models.CharField(max_length=200)

    class Meta:
        ordering = ("-at", "-pk")


class Flattening(models.Model):
    """Somebody wants out of every position (of an asset type; empty: of all). Kept until none is left."""

    class Status(models.TextChoices):
        WORKING = "working", _("under way")
        DONE = "done", _("done")
        GIVEN_UP = "given_up", _("given up")

    asset_type = models.CharField(max_length=32, blank=True)
    status = models.CharField(max_length=10, choices=Status, default=Status.WORKING)
    requested_by = models.CharField(max_length=150)
    reason = models.CharField(max_length=200, blank=True)
    requested_at = models.DateTimeField()
    tried_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-requested_at", "-pk")
        constraints = (
            models.UniqueConstraint(
                fields=("asset_type",), condition=Q(status="working"), name="one_flattening_at_a_time"
            ),
        )
