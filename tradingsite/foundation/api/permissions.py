"""Which role, and for machines which scope, a request needs.

A view declares `required_role` for all methods, or per method: `{"POST": Role.TRADER}`; what it does not name
needs viewer for reading and operator for changing. A token additionally needs the scope of that role,
whatever role its owner has.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from tradingsite.foundation import tokens
from tradingsite.foundation.errors import Refused
from tradingsite.foundation.models import ApiToken
from tradingsite.foundation.roles import Role, role_of

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def needed_role(view: Any, method: str) -> Role:
    """The role `view` demands for `method`."""
    declared: Role | Mapping[str, Role] | None = getattr(view, "required_role", None)
    if isinstance(declared, Role):
        return declared
    fallback = Role.VIEWER if method in SAFE else Role.OPERATOR
    if declared is None:
        return fallback
    if method in {"HEAD", "OPTIONS"} and method not in declared:
        return declared.get("GET", fallback)
    return declared.get(method, fallback)


def needed_scope(role: Role) -> str:
    """The smallest token scope that reaches `role`."""
    return next(scope for scope, reach in tokens.SCOPES.items() if reach >= role)


class RoleOrScope(BasePermission):
    """Default permission of the API: logged in, with the role, and for a token with the scope."""

    def has_permission(self, request: Request, view: Any) -> bool:
        user = request.user
        if not user or not user.is_authenticated:
            return False
        role = needed_role(view, request.method or "GET")
        if isinstance(request.auth, ApiToken) and tokens.highest(request.auth) < role:
            scope = needed_scope(role)
            raise Refused(_("The token needs the scope %(scope)s.") % {"scope": scope}, needed_scope=scope)
        if role_of(user) < role:
            raise Refused(_("This needs the role %(role)s.") % {"role": role.label}, needed_role=role.label)
        return True
