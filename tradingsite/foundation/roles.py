"""Who may do what: viewer < operator < trader < admin. A superuser is an admin; without a profile one may look only."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from django.utils.translation import gettext as _

from .errors import Refused
from .models import UserProfile


class Role(IntEnum):
    """Ordered: a higher role may do everything a lower one may. NONE is nobody (anonymous or disabled)."""

    NONE = 0
    VIEWER = 1
    OPERATOR = 2
    TRADER = 3
    ADMIN = 4

    @property
    def label(self) -> str:
        """The stored and shown lower-case name."""
        return self.name.lower()


def parse(name: str) -> Role:
    """The role called `name` (lower case). Raises ValueError for an unknown one."""
    try:
        return Role[name.upper()]
    except KeyError as e:
        raise ValueError(f"A role is viewer, operator, trader or admin, was {name!r}.") from e


def role_of(user: Any) -> Role:
    """The role of a user (request.user or a User)."""
    if user is None or not user.is_authenticated or not user.is_active:
        return Role.NONE
    if user.is_superuser:
        return Role.ADMIN
    profile = (
        UserProfile.objects.filter(user_id=user.pk).first()
        if not _loaded(user)
        else getattr(user, "profile", None)
    )
    return parse(profile.role) if profile is not None else Role.VIEWER


def allows(user: Any, role: Role) -> bool:
    """Whether `user` has at least `role`."""
    return role_of(user) >= role


def require(user: Any, role: Role) -> None:
    """Raises Refused when `user` has less than `role`."""
    if not allows(user, role):
        raise Refused(
            _("This needs the role %(needed)s; you have %(yours)s.")
            % {"needed": role.label, "yours": role_of(user).label},
            needed=role.label,
        )


def profile_of(user: Any) -> UserProfile:
    """The profile of a stored user, created (viewer; admin for a superuser) when missing."""
    default = UserProfile.Role.ADMIN if user.is_superuser else UserProfile.Role.VIEWER
    profile, _created = UserProfile.objects.get_or_create(user=user, defaults={"role": default})
    return profile


def _loaded(user: Any) -> bool:
    return "profile" in user._state.fields_cache
