from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from . import admin_users, alerts, audit, clock, profiles, roles, services, tokens
from .models import Alert, ApiToken, AuditEvent, UserProfile
from .notify.models import Delivery, NotificationChannel

admin_users.register()


class ReadOnlyAdmin(admin.ModelAdmin[Any]):
    """Look, do not touch: no add, change or delete, whoever asks."""

    show_full_result_count = False
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    list_display = ["sequence", "at", "actor_kind", "actor_name", "action", "object_type", "object_id", "ip"]
    list_filter = ["actor_kind", "action"]
    search_fields = ["actor_name", "action", "object_type", "object_id", "request_id"]
    date_hierarchy = "at"
    ordering = ["-sequence"]


@admin.register(Alert)
class AlertAdmin(ReadOnlyAdmin):
    list_display = ["last_seen_at", "severity", "status", "headline", "subject", "count", "acknowledged_by"]
    list_filter = ["status", "severity", "code"]
    search_fields = ["key", "subject", "code"]
    date_hierarchy = "last_seen_at"
    ordering = ["-last_seen_at", "-id"]

    @admin.display(description=_("alert"))
    def headline(self, alert: Alert) -> str:
        return alerts.title(alert)


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    """Metadata only; neither the secret nor its hash."""

    fields = [
        "name", "lookup", "user", "scopes", "created_at", "expires_at", "last_used_at", "last_used_ip", "revoked_at",
    ]  # fmt: skip
    list_display = ["name", "lookup", "user", "scopes", "expires_at", "last_used_at", "revoked_at"]
    list_filter = ["revoked_at"]
    list_select_related = ["user"]
    search_fields = ["name", "lookup", "user__username"]
    date_hierarchy = "created_at"
    actions = ["revoke"]

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return roles.allows(request.user, roles.Role.ADMIN)

    @admin.action(description=_("Revoke the selected tokens"), permissions=["revoke"])
    def revoke(self, request: HttpRequest, chosen: QuerySet[ApiToken]) -> None:
        for token in chosen:
            tokens.revoke(token.pk, actor=audit.actor_of(request), now=clock.now())
        self.message_user(request, _("The tokens are revoked."))


@admin.register(UserProfile)
class UserProfileAdmin(admin.ModelAdmin[UserProfile]):
    list_display = ["user", "role", "language", "time_zone", "theme"]
    list_filter = ["role"]
    list_select_related = ["user"]
    search_fields = ["user__username", "user__email"]
    autocomplete_fields = ["user"]
    exclude = ["preferences"]

    def get_readonly_fields(self, request: HttpRequest, obj: UserProfile | None = None) -> list[str]:
        return ["user"] if obj else []

    def has_add_permission(self, request: HttpRequest) -> bool:
        return roles.allows(request.user, roles.Role.ADMIN)

    def has_change_permission(self, request: HttpRequest, obj: UserProfile | None = None) -> bool:
        return roles.allows(request.user, roles.Role.ADMIN)

    def has_delete_permission(self, request: HttpRequest, obj: UserProfile | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: UserProfile, form: Any, change: bool) -> None:
        # The role changes through its service, so that it is audited.
        wanted = roles.parse(obj.role)
        if change:
            names = ("language", "time_zone", "theme", "palette", "base_currency")
            stored = UserProfile.objects.get(pk=obj.pk)
            profiles.change(
                stored, actor=audit.actor_of(request), **{name: getattr(obj, name) for name in names}
            )
        else:
            obj.role = UserProfile.Role.VIEWER
            obj.save(force_insert=True)
        services.change_role(obj.user, wanted, actor=audit.actor_of(request))
        obj.refresh_from_db()


@admin.register(NotificationChannel)
class NotificationChannelAdmin(ReadOnlyAdmin):
    """Without the sealed target."""

    fields = [
        "name", "owner", "kind", "hint", "min_severity", "quiet_start", "quiet_end", "digest_minutes", "enabled",
        "created_at", "last_ok_at", "last_error_at", "last_error",
    ]  # fmt: skip
    list_display = ["name", "owner", "kind", "hint", "min_severity", "enabled", "last_ok_at", "last_error"]
    list_filter = ["kind", "enabled"]
    list_select_related = ["owner"]
    search_fields = ["name", "owner__username"]


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "alert", "channel_name", "occasion", "status", "attempt", "at", "error"]
    list_filter = ["status", "occasion"]
    list_select_related = ["alert"]
    search_fields = ["channel_name", "alert__key"]
    date_hierarchy = "created_at"
