"""First-run set-up: the first administrator, once."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.utils.translation import gettext as _

from . import audit, clock
from .errors import Conflict, FieldProblem, Invalid
from .models import Setting, UserProfile

MARK = "setup.administrator"

_complete = False


def is_complete() -> bool:
    """Whether a user exists. Once true it stays true without asking the database again."""
    global _complete
    if not _complete:
        _complete = get_user_model()._default_manager.exists()
    return _complete


def forget() -> None:
    """Ask the database again next time (tests, a restored backup)."""
    global _complete
    _complete = False


def create_first_admin(
    *, username: str, password: str, email: str = "", language: str = "", time_zone: str = "UTC",
    request: HttpRequest | None = None,
) -> Any:  # fmt: skip
    """Create the first administrator and return the user. Of two racing callers one wins.

    Raises Invalid with one problem per wrong field, Conflict when a user exists already.
    """
    model = get_user_model()
    user = model(username=model.normalize_username(username.strip()), email=email.strip(), is_staff=True)
    user.is_superuser = True
    _check(user, password)
    user.set_password(password)
    refusal = Conflict(_("The set-up is done already. Log in instead."), code="setup-done")
    try:
        with transaction.atomic():
            # The unique mark lets one of two racing set-ups through, on every database.
            Setting.objects.create(key=MARK, value={"username": user.get_username()}, updated_at=clock.now())
            if model._default_manager.exists():
                raise refusal
            user.save(force_insert=True)
            UserProfile.objects.create(
                user=user, role=UserProfile.Role.ADMIN, language=language, time_zone=time_zone
            )
            actor = audit.Actor("user", str(user.pk), user.get_username())
            audit.record(
                action="setup.administrator",
                actor=actor,
                object_type="user",
                object_id=user.pk,
                request=request,
            )
    except IntegrityError as e:
        raise refusal from e
    return user


def _check(user: Any, password: str) -> None:
    problems: list[FieldProblem] = []
    try:
        user.clean_fields(exclude=["password"])
    except ValidationError as e:
        for name, errors in e.error_dict.items():
            problems += [_problem(name, error) for error in errors]
    try:
        validate_password(password, user)
    except ValidationError as e:
        problems += [_problem("password", error) for error in e.error_list]
    if len(password) > 128:
        problems.append(
            {"pointer": "#/password", "code": "password_too_long", "detail": _("At most 128 characters.")}
        )
    if problems:
        raise Invalid(_("Please correct the marked fields."), errors=problems)


def _problem(name: str, error: ValidationError) -> FieldProblem:
    return {"pointer": f"#/{name}", "code": error.code or "invalid", "detail": " ".join(error.messages)}
