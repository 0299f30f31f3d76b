"""Writes that belong to no narrower module: site-wide values, profiles, housekeeping."""

from __future__ import annotations

from datetime import datetime
from importlib import import_module
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.conf import settings as django_settings
from django.db import transaction
from django.utils.translation import gettext as _

from . import audit, login, roles
from .errors import FieldProblem, Invalid
from .models import Setting, UserProfile


def put_setting(key: str, value: Any, *, actor: audit.Actor, now: datetime) -> None:
    """Set a site-wide value (plain JSON), audited."""
    with transaction.atomic():
        before = Setting.objects.filter(key=key).values_list("value", flat=True).first()
        if before == value:
            return
        Setting.objects.update_or_create(key=key, defaults={"value": value, "updated_at": now})
        audit.record(
            action="setting.change",
            actor=actor,
            object_type="setting",
            object_id=key,
            before=before,
            after=value,
        )


def remember(key: str, value: Any, now: datetime) -> None:
    """Set a site-wide value that is part of something larger, which its caller records in the audit log."""
    Setting.objects.update_or_create(key=key, defaults={"value": value, "updated_at": now})


def change_role(user: Any, role: roles.Role, *, actor: audit.Actor) -> UserProfile:
    """Give `user` another role, at once, audited. Raises Invalid for NONE (disable the user instead)."""
    if role == roles.Role.NONE:
        raise Invalid(_("Disable the user instead of taking the role away."))
    with transaction.atomic():
        profile = roles.profile_of(user)
        before = profile.role
        if before != role.label:
            UserProfile.objects.filter(pk=profile.pk).update(role=role.label)
            audit.record(
                action="user.role", actor=actor, object_type="user", object_id=user.pk,
                before={"role": before}, after={"role": role.label},
            )  # fmt: skip
    profile.refresh_from_db()
    return profile


def change_preferences(
    user: Any,
    *,
    language: str | None = None,
    time_zone: str | None = None,
    theme: str | None = None,
    palette: str | None = None,
    base_currency: str | None = None,
) -> UserProfile:
    """Change how the user likes to see things; None leaves a value. Raises Invalid with one problem per wrong field."""
    given = {
        "language": language,
        "time_zone": time_zone,
        "theme": theme,
        "palette": palette,
        "base_currency": base_currency,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    allowed: dict[str, list[str]] = {
        "language": ["", *(code for code, _name in django_settings.LANGUAGES)],
        "theme": list(UserProfile.Theme.values),
        "palette": list(UserProfile.Palette.values),
        "base_currency": ["USD", "EUR", "GBP", "CHF"],
    }
    problems: list[FieldProblem] = [
        {"pointer": f"#/{name}", "code": "invalid", "detail": _("This choice does not exist.")}
        for name, value in changes.items()
        if (name in allowed and value not in allowed[name]) or (name == "time_zone" and not _is_zone(value))
    ]
    if problems:
        raise Invalid(_("Please correct the marked fields."), errors=problems)
    profile = roles.profile_of(user)
    if changes:
        UserProfile.objects.filter(pk=profile.pk).update(**changes)
        profile.refresh_from_db()
    return profile


def forget_old(now: datetime) -> dict[str, int]:
    """Housekeeping: delete ended sessions, counters and idempotency records that are over; how many of the latter."""
    from .api import idempotency, throttles  # loads the REST framework, which most processes do without

    import_module(django_settings.SESSION_ENGINE).SessionStore.clear_expired()
    return {
        "idempotency_records": idempotency.forget_old(),
        "throttle_buckets": throttles.forget_old(),
        "login_attempts": login.forget_old(now),
    }


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
