"""Users and groups in the administration. Whoever is added, changed or taken away leaves a row in the audit log."""

from __future__ import annotations

from typing import Any, Final

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, Permission
from django.db import models, transaction
from django.http import HttpRequest, HttpResponse

from . import audit, roles

_USER_FIELDS: Final = (
    "username", "email", "first_name", "last_name", "is_active", "is_staff", "is_superuser",
)  # fmt: skip
_LISTS: Final = ("groups", "permissions")
Facts = dict[str, Any]


def _names(permissions: models.Manager[Permission]) -> list[str]:
    rows = permissions.values_list("content_type__app_label", "codename")
    return sorted(f"{app}.{codename}" for app, codename in rows)


def _facts(row: Any) -> Facts:
    """What is worth remembering of a user or group. Never the password, not even its hash."""
    if isinstance(row, Group):
        return {"name": row.name, "permissions": _names(row.permissions)}
    groups = sorted(row.groups.values_list("name", flat=True))
    facts = {name: getattr(row, name) for name in _USER_FIELDS}
    return {**facts, "groups": groups, "permissions": _names(row.user_permissions)}


class AuditedAdmin(admin.ModelAdmin[Any]):
    """Administrators only, and every change is told to the audit log in the same transaction."""

    kind = ""

    def _record(
        self, request: HttpRequest, verb: str, pk: object, before: Any = None, after: Any = None
    ) -> None:
        audit.record(
            action=f"{self.kind}.{verb}", actor=audit.actor_of(request), object_type=self.kind, object_id=pk,
            before=before, after=after, request=request,
        )  # fmt: skip

    def has_module_permission(self, request: HttpRequest) -> bool:
        return roles.allows(request.user, roles.Role.ADMIN)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return roles.allows(request.user, roles.Role.ADMIN)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return roles.allows(request.user, roles.Role.ADMIN)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # A permission to change users would be one to make oneself a superuser.
        return roles.allows(request.user, roles.Role.ADMIN)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return roles.allows(request.user, roles.Role.ADMIN)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        # The row itself is saved by now, groups and permissions are not: `form.initial` knows how all of it was.
        before = _before(form) if change else None
        super().save_related(request, form, formsets, change)
        after = _facts(form.instance)
        if before is None:
            self._record(request, "create", form.instance.pk, after=after)
            return
        changed = [name for name in after if before.get(name) != after[name]]
        if changed:
            self._record(
                request, "change", form.instance.pk,
                {name: before.get(name) for name in changed}, {name: after[name] for name in changed},
            )  # fmt: skip

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        with transaction.atomic():
            pk, before = obj.pk, _facts(obj)
            super().delete_model(request, obj)
            self._record(request, "delete", pk, before=before)

    def delete_queryset(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> None:
        with transaction.atomic():
            for row in queryset:
                self.delete_model(request, row)


def _before(form: Any) -> Facts:
    """How the row was when the form was made: many-to-many rows are still those of the database."""
    facts = _facts(form.instance)
    return facts | {name: form.initial[name] for name in facts if name in form.initial and name not in _LISTS}


class AuditedUserAdmin(AuditedAdmin, UserAdmin):  # type: ignore[type-arg]
    kind = "user"

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        with transaction.atomic():
            before = (
                get_user_model()._default_manager.filter(pk=id).values_list("password", flat=True).first()
            )
            answer: HttpResponse = super().user_change_password(request, id, form_url)
            now = get_user_model()._default_manager.filter(pk=id).values_list("password", flat=True).first()
            if before != now:
                self._record(request, "password", id)
        return answer


class AuditedGroupAdmin(AuditedAdmin, GroupAdmin):
    kind = "group"


def register() -> None:
    """In place of the library's own pages."""
    for model, page in ((get_user_model(), AuditedUserAdmin), (Group, AuditedGroupAdmin)):
        if admin.site.is_registered(model):
            admin.site.unregister(model)
        admin.site.register(model, page)
