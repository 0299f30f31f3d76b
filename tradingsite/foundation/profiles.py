"""Changes to a user's profile. The role is not changed here: that is administration."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from . import audit
from .models import UserProfile

_FIELDS = ("language", "theme", "palette", "time_zone", "base_currency", "preferences")


def change(profile: UserProfile, *, actor: audit.Actor, **values: Any) -> UserProfile:
    """Store the given values when they differ, with one audit row. Unknown names raise TypeError."""
    unknown = set(values) - set(_FIELDS)
    if unknown:
        raise TypeError(f"A profile has no {', '.join(sorted(unknown))} to change here.")
    before = {name: getattr(profile, name) for name in values}
    changed = {name: value for name, value in values.items() if before[name] != value}
    if not changed:
        return profile
    for name, value in changed.items():
        setattr(profile, name, value)
    with transaction.atomic():
        profile.save(update_fields=list(changed))
        audit.record(
            action="profile.change",
            actor=actor,
            object_type="user",
            object_id=profile.user_id,
            before={name: before[name] for name in changed},
            after=changed,
        )
    return profile
