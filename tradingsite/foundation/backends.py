"""Authentication: as Django does it, but a signed-in user comes with the profile, so that the role costs no query."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.backends import ModelBackend


class ProfileBackend(ModelBackend):
    """Users with their profile."""

    def get_user(self, user_id: Any) -> Any:
        user = get_user_model()._default_manager.select_related("profile").filter(pk=user_id).first()
        return user if user is not None and self.user_can_authenticate(user) else None
