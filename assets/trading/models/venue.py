"""What we need to speak with a venue, and where its books and ours differ."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from assets.trading.models.account import Account


class VenueKey(models.Model):
    """The API key of an account, sealed (foundation.secrets); never shown again. `hint` is what may be shown of it."""

    account = models.OneToOneField(Account, on_delete=models.CASCADE, related_name="venue_key")
    sealed_key = models.TextField()
    sealed_secret = models.TextField()
    hint = models.CharField(max_length=8)
    permissions = models.JSONField(default=dict)  # as the venue said when it was last asked
    created_by = models.CharField(max_length=120)
    created_at = models.DateTimeField()
    checked_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.account} {self.hint}"


class Discrepancy(models.Model):
    """Something the venue has and we have not, or the other way round; open until it is gone or a person explains it."""

    class Kind(models.TextChoices):
        FOREIGN_ORDER = "foreign_order", _("order nobody here made")
        ORDER_MISSING = "order_missing", _("order the venue does not have")
        ZOMBIE_ORDER = "zombie_order", _("order that ended here and lives at the venue")
        BALANCE = "balance", _("balance")

    class Status(models.TextChoices):
        OPEN = "open", _("open")
        RESOLVED = "resolved", _("resolved")
        IGNORED = "ignored", _("ignored")

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="discrepancies")
    kind = models.CharField(max_length=16, choices=Kind)
    subject = models.CharField(max_length=80)  # client id, venue id or asset
    ours = models.CharField(max_length=120)
    theirs = models.CharField(max_length=120)
    status = models.CharField(max_length=10, choices=Status, default=Status.OPEN)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True, blank=True)
    resolution = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ("-first_seen_at", "-pk")
        constraints = (
            models.UniqueConstraint(
                fields=("account", "kind", "subject"),
                condition=~Q(status="resolved"),
                name="one_open_discrepancy",
            ),
        )
