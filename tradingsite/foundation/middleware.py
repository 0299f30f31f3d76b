"""What every request goes through."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import resolve_url
from django.utils.cache import patch_vary_headers
from django.utils.http import url_has_allowed_host_and_scheme

from . import context, ids, setup

GetResponse = Callable[[HttpRequest], HttpResponseBase]

CONTENT_SECURITY_POLICY: Final[Mapping[str, str]] = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "connect-src": "'self'",
    "font-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "object-src": "'none'",
    "frame-ancestors": "'none'",
}
"""The policy of every response; `settings.CONTENT_SECURITY_POLICY` may replace it as a whole."""

DOCS_PATH: Final = "/api/docs/"
"""The one page with a relaxed policy: the API explorer sets inline styles."""

SETUP_PATH: Final = "/setup/"

PERMISSIONS_POLICY: Final = ", ".join(
    f"{feature}=()"
    for feature in ("accelerometer", "camera", "geolocation", "gyroscope", "microphone", "payment", "usb")
)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


class SecurityHeaders:
    """Security headers on every response, errors, static files and the admin included."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        policy: Mapping[str, str] = getattr(settings, "CONTENT_SECURITY_POLICY", CONTENT_SECURITY_POLICY)
        self.strict = _policy_text(policy)
        self.docs = _policy_text(
            {**policy, "style-src": policy.get("style-src", "'self'") + " 'unsafe-inline'"}
        )

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        docs = request.path_info.startswith(DOCS_PATH) or request.path_info == DOCS_PATH.rstrip("/")
        # Assigned, not defaulted: no view may weaken it.
        response.headers["Content-Security-Policy"] = self.docs if docs else self.strict
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["X-Frame-Options"] = "DENY"
        response.headers["Referrer-Policy"] = "same-origin"
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        response.headers["Permissions-Policy"] = PERMISSIONS_POLICY
        if response.headers.get("Content-Type", "").startswith("text/html"):
            patch_vary_headers(response, ["HX-Request"])
            if not response.has_header("Cache-Control"):
                response.headers["Cache-Control"] = "no-store, private"
        return response


class RequestId:
    """Gives the request an id: `request.request_id`, in logs and audit rows, and back in X-Request-ID.

    An id sent by the client or a proxy is kept when it is harmless (letters, digits, ". _ -", 8 to 64 of them).
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        sent = request.headers.get("X-Request-ID", "")
        value = sent if _REQUEST_ID.fullmatch(sent) else ids.request_id()
        request.request_id = value  # type: ignore[attr-defined]
        with context.use_request_id(value):
            response = self.get_response(request)
        response.headers["X-Request-ID"] = value
        return response


class HtmxLoginRedirect:
    """An HTMX request of somebody no longer logged in makes the whole page go to the login, not the fragment."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if request.headers.get("HX-Request") != "true" or response.status_code != 302:
            return response
        login = resolve_url(settings.LOGIN_URL)
        if urlsplit(response.headers.get("Location", "")).path != urlsplit(login).path:
            return response
        answer = HttpResponse(status=204)
        answer.headers["HX-Redirect"] = f"{login}?{urlencode({'next': _current_page(request)})}"
        answer.headers["Cache-Control"] = "no-store, private"
        return answer


class FirstRun:
    """While no user exists every page leads to the set-up; afterwards the set-up does not exist."""

    open_paths = ("/static/", "/api/", "/healthz", "/readyz", "/metrics", "/i18n/", "/favicon.ico")

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        path = request.path_info
        is_setup = path.startswith(SETUP_PATH) or path == SETUP_PATH.rstrip("/")
        if is_setup or not path.startswith(self.open_paths):
            complete = setup.is_complete()
            if not complete and not is_setup:
                return HttpResponseRedirect(SETUP_PATH)
            # Only the form that makes the administrator goes away; later steps of the wizard need a login anyway.
            if complete and path.rstrip("/") == SETUP_PATH.rstrip("/"):
                raise Http404
        return self.get_response(request)


def _policy_text(policy: Mapping[str, str]) -> str:
    return "; ".join(f"{name} {value}".strip() for name, value in policy.items())


def _current_page(request: HttpRequest) -> str:
    url = request.headers.get("HX-Current-URL", "")
    if not url_has_allowed_host_and_scheme(url, {request.get_host()}, require_https=request.is_secure()):
        return "/"
    parts = urlsplit(url)
    return parts.path + (f"?{parts.query}" if parts.query else "")
