"""Tables of the ground floor. Rules live in the services (audit, alerts, tokens, login, ...), not here."""

from __future__ import annotations

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from .transitions import StatusEvent


class AuditEvent(models.Model):
    """One line of the append-only log. Triggers refuse UPDATE and DELETE; `hash` covers the row and `previous_hash`."""

    sequence = models.BigIntegerField(unique=True)
    at = models.DateTimeField(db_index=True)
    actor_kind = models.CharField(max_length=10)
    actor_id = models.CharField(max_length=64, blank=True)
    actor_name = models.CharField(max_length=150, blank=True)
    action = models.CharField(max_length=80, db_index=True)
    object_type = models.CharField(max_length=60, blank=True)
    object_id = models.CharField(max_length=80, blank=True)
    before = models.JSONField(null=True, blank=True)
    after = models.JSONField(null=True, blank=True)
    reason = models.CharField(max_length=500, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    ip = models.CharField(max_length=45, blank=True)
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)

    class Meta:
        ordering = ["-sequence"]
        indexes = [models.Index(fields=["object_type", "object_id"], name="audit_object")]
        verbose_name = _("audit event")
        verbose_name_plural = _("audit events")

    def __str__(self) -> str:
        return f"#{self.sequence} {self.action}"


class AuditHead(models.Model):
    """One row: the newest sequence and hash, so that cutting off the end of the log is noticed. Only grows
    (trigger).
    """

    sequence = models.BigIntegerField()
    hash = models.CharField(max_length=64)

    def __str__(self) -> str:
        return f"#{self.sequence}"


class Alert(models.Model):
    """Something a person should know. At most one unresolved alert per key; repeats only count."""

    class Status(models.TextChoices):
        OPEN = "open", _("Open")
        ACKNOWLEDGED = "acknowledged", _("Acknowledged")
        RESOLVED = "resolved", _("Resolved")

    class Severity(models.TextChoices):
        INFO = "info", _("Information")
        WARNING = "warning", _("Warning")
        CRITICAL = "critical", _("Critical")

    key = models.CharField(max_length=200)
    code = models.CharField(max_length=60, db_index=True)
    severity = models.CharField(max_length=10, choices=Severity.choices)
    severity_rank = models.PositiveSmallIntegerField(default=0)
    subject = models.CharField(max_length=200, blank=True)
    params = models.JSONField(default=dict, blank=True, encoder=DjangoJSONEncoder)
    status = models.CharField(max_length=14, choices=Status.choices, default=Status.OPEN)
    count = models.PositiveIntegerField(default=1)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField(db_index=True)
    news_at = models.DateTimeField(null=True, blank=True)  # opened, or got worse
    snoozed_until = models.DateTimeField(null=True, blank=True)
    snoozed_by = models.CharField(max_length=150, blank=True)
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.CharField(max_length=150, blank=True)
    resolved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-last_seen_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["key"], condition=~Q(status="resolved"), name="alert_one_open_per_key"
            ),
            models.CheckConstraint(condition=Q(count__gte=1), name="alert_count_positive"),
        ]
        indexes = [models.Index(fields=["status", "-last_seen_at"], name="alert_status_seen")]
        verbose_name = _("alert")
        verbose_name_plural = _("alerts")

    def __str__(self) -> str:
        return f"{self.code} ({self.severity}, {self.status})"


class AlertEvent(StatusEvent):
    alert = models.ForeignKey(Alert, models.CASCADE, related_name="events")


class ApiToken(models.Model):
    """A credential of a machine. The clear token is shown once; only its keyed hash is kept."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=80)
    lookup = models.CharField(max_length=8, unique=True)
    digest = models.CharField(max_length=64)
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    last_used_ip = models.CharField(max_length=45, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        verbose_name = _("API token")
        verbose_name_plural = _("API tokens")

    def __str__(self) -> str:
        return f"{self.name} ({self.lookup}...)"


class IdempotencyRecord(models.Model):
    """The outcome of a request sent with an Idempotency-Key, kept 24 hours."""

    principal = models.CharField(max_length=80)
    route = models.CharField(max_length=300)
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    finished = models.BooleanField(default=False)
    response_status = models.PositiveSmallIntegerField(null=True)
    response_headers = models.JSONField(default=dict)
    response_body = models.TextField(blank=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["principal", "route", "key"], name="idempotency_one_per_key")
        ]

    def __str__(self) -> str:
        return f"{self.route} {self.key}"


class LoginAttempt(models.Model):
    """Counts failed logins of one subject (a user from one address, an address, an account); atomic updates only."""

    key = models.CharField(max_length=80, unique=True)
    failures = models.PositiveIntegerField(default=0)
    window_started_at = models.DateTimeField()
    last_attempt_at = models.DateTimeField()
    blocked_until = models.DateTimeField(null=True, blank=True)
    last_success_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.key}: {self.failures}"


class ThrottleBucket(models.Model):
    """Requests of one principal in the current window; written by one UPSERT (api/throttles.py)."""

    key = models.CharField(max_length=120, unique=True)
    window_ends_ms = models.BigIntegerField()
    count = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.key}: {self.count}"


class UserProfile(models.Model):
    """What a user may do (role) and how they like to see it."""

    class Role(models.TextChoices):
        VIEWER = "viewer", _("Viewer")
        OPERATOR = "operator", _("Operator")
        TRADER = "trader", _("Trader")
        ADMIN = "admin", _("Administrator")

    class Theme(models.TextChoices):
        SYSTEM = "system", _("As the system")
        LIGHT = "light", _("Light")
        DARK = "dark", _("Dark")

    class Palette(models.TextChoices):
        GREEN_RED = "green-red", _("Green and red")
        BLUE_ORANGE = "blue-orange", _("Blue and orange")
        RED_GREEN = "red-green", _("Red up, green down")

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, related_name="profile")
    role = models.CharField(_("role"), max_length=10, choices=Role.choices, default=Role.VIEWER)
    language = models.CharField(_("language"), max_length=10, blank=True)
    time_zone = models.CharField(_("time zone"), max_length=64, default="UTC")
    theme = models.CharField(_("theme"), max_length=10, choices=Theme.choices, default=Theme.SYSTEM)
    palette = models.CharField(
        _("chart colours"), max_length=12, choices=Palette.choices, default=Palette.GREEN_RED
    )
    base_currency = models.CharField(_("base currency"), max_length=10, default="USD")
    preferences = models.JSONField(default=dict, blank=True)

    class Meta:
        verbose_name = _("user profile")
        verbose_name_plural = _("user profiles")
        constraints = [
            models.CheckConstraint(
                condition=Q(role__in=["viewer", "operator", "trader", "admin"]), name="profile_role_known"
            )
        ]

    def __str__(self) -> str:
        return f"{self.user} ({self.role})"


class TotpDevice(models.Model):
    """The authenticator app of a user; it counts once `confirmed_at` is set. A code works only once: `last_step`."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, related_name="totp_device")
    sealed_secret = models.TextField()
    created_at = models.DateTimeField()
    confirmed_at = models.DateTimeField(null=True, blank=True)
    last_step = models.BigIntegerField(default=-1)

    def __str__(self) -> str:
        return f"{self.user_id}"


class RecoveryCode(models.Model):
    """A code for the day the phone is lost, as a keyed hash; each opens once."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="recovery_codes")
    digest = models.CharField(max_length=64)
    used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "digest"], name="recovery_code_once")]

    def __str__(self) -> str:
        return f"{self.user_id} ({'used' if self.used_at else 'unused'})"


class Setting(models.Model):
    """A site-wide value set by a person, e.g. the state of the first-run wizard."""

    key = models.CharField(max_length=100, unique=True)
    value = models.JSONField(encoder=DjangoJSONEncoder)
    updated_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.key


# Tables of the same app, in the room that fills them.
from .notify.models import Delivery, NotificationChannel  # noqa: E402, F401
