"""Who allowed real money, on what evidence, and until when."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from assets.trading.models.account import Account


class WorkflowApproval(models.Model):
    """A person has looked at this version of a workflow and lets it trade real money. Another version needs another look."""

    workflow_slug = models.CharField(max_length=64)
    version = models.PositiveIntegerField()
    approved_by = models.CharField(max_length=150)
    approved_at = models.DateTimeField()
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-approved_at", "-pk")
        constraints = (
            models.UniqueConstraint(
                fields=("workflow_slug",),
                condition=Q(withdrawn_at__isnull=True),
                name="one_approval_per_workflow",
            ),
        )


class LiveApproval(models.Model):
    """An account may send orders for real money. Ends at `expires_at`, or earlier with a reason; never prolonged."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="live_approvals")
    approved_by = models.CharField(max_length=150)
    approved_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    evidence = models.JSONField(default=dict)
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_by = models.CharField(max_length=150, blank=True)
    reason = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ("-approved_at", "-pk")
        constraints = (
            models.UniqueConstraint(
                fields=("account",),
                condition=Q(revoked_at__isnull=True),
                name="one_live_approval_per_account",
            ),
        )
