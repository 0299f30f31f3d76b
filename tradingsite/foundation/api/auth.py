"""How a client proves who it is: `Authorization: Token ...` for machines, the session cookie with CSRF for browsers.

A token is read from the header only: an address or a cookie ends up in logs and histories.
"""

from __future__ import annotations

from typing import Any

from rest_framework import authentication, exceptions
from rest_framework.request import Request

from tradingsite.foundation import client, clock, tokens
from tradingsite.foundation.errors import NotAuthenticated

CHALLENGE = "Token"


class TokenAuthentication(authentication.BaseAuthentication):
    """`Authorization: Token tsk_...`; request.auth is then the ApiToken."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        header = request.headers.get("Authorization", "")
        scheme, _space, clear = header.partition(" ")
        if scheme.lower() != "token":
            return None
        try:
            token = tokens.authenticate(clear.strip(), now=clock.now(), ip=client.address(request._request))
        except NotAuthenticated as e:
            raise exceptions.AuthenticationFailed(e.message) from e
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE


class SessionAuthentication(authentication.SessionAuthentication):
    """The logged-in browser; unsafe methods need the CSRF token."""

    def authenticate_header(self, request: Request) -> str:
        # Without a challenge DRF answers 403 where 401 is meant.
        return CHALLENGE
