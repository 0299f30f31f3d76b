"""Where alerts go, and what became of each message. Rules live in services, planning and deliver."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class NotificationChannel(models.Model):
    """One way to reach a person. The target (address, tokens) is sealed and never shown again."""

    class Kind(models.TextChoices):
        WEBHOOK = "webhook", _("Webhook (JSON, signed)")
        EMAIL = "email", _("E-mail")
        TELEGRAM = "telegram", "Telegram"
        DISCORD = "discord", "Discord"
        SLACK = "slack", "Slack"
        PUSHOVER = "pushover", "Pushover"
        NTFY = "ntfy", "ntfy.sh"

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="notification_channels")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    name = models.CharField(max_length=80)
    sealed_target = models.TextField()
    hint = models.CharField(max_length=120, blank=True)
    min_severity = models.CharField(max_length=10, default="warning")
    quiet_start = models.TimeField(null=True, blank=True)
    quiet_end = models.TimeField(null=True, blank=True)
    digest_minutes = models.PositiveSmallIntegerField(default=0)
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField()
    since = models.DateTimeField()
    last_ok_at = models.DateTimeField(null=True, blank=True)
    last_error_at = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(fields=["owner", "name"], name="channel_one_name_per_owner"),
            models.CheckConstraint(
                condition=Q(quiet_start=None, quiet_end=None)
                | Q(quiet_start__isnull=False, quiet_end__isnull=False),
                name="channel_quiet_both_or_none",
            ),
        ]
        verbose_name = _("notification channel")
        verbose_name_plural = _("notification channels")

    def __str__(self) -> str:
        return f"{self.name} ({self.kind})"


class Delivery(models.Model):
    """One message of one alert by one channel: that it opened, got worse or is over; each once, by the constraint."""

    class Status(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        SENT = "sent", _("Sent")
        FAILED = "failed", _("Failed")
        SKIPPED = "skipped", _("Skipped")

    class Occasion(models.TextChoices):
        OPENED = "opened", _("Opened")
        ESCALATED = "escalated", _("Got worse")
        RESOLVED = "resolved", _("Over")

    alert = models.ForeignKey("foundation.Alert", models.CASCADE, related_name="deliveries")
    channel = models.ForeignKey(
        NotificationChannel, models.SET_NULL, null=True, blank=True, related_name="deliveries"
    )
    channel_name = models.CharField(max_length=80)
    occasion = models.CharField(max_length=10, choices=Occasion.choices)
    severity_rank = models.PositiveSmallIntegerField()
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.WAITING)
    reason = models.CharField(max_length=40, blank=True)
    attempt = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField()
    next_attempt_at = models.DateTimeField()
    at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["alert", "channel", "occasion", "severity_rank"], name="delivery_once_per_episode"
            )
        ]
        indexes = [
            models.Index(fields=["next_attempt_at"], condition=Q(status="waiting"), name="delivery_due")
        ]
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")

    def __str__(self) -> str:
        return f"{self.alert_id} {self.occasion} by {self.channel_name}: {self.status}"
