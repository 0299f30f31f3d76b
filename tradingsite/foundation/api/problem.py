"""Every error of the API is an RFC 9457 problem document, also for unknown routes and unforeseen exceptions.

    {"type": "/problems/not-found", "title": "Not found", "status": 404, "detail": "...", "instance": "/api/orders/7",
     "code": "not-found", "request_id": "...", "errors": [{"pointer": "#/amount", "code": "invalid", "detail": "..."}]}

`code` is stable; titles and details are translated. Nothing about the inside (paths, SQL, versions) is ever said.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.core import exceptions as django_exceptions
from django.http import Http404, HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop
from rest_framework import exceptions as drf
from rest_framework.response import Response
from rest_framework.views import set_rollback

from tradingsite.foundation import context
from tradingsite.foundation.errors import DomainError, FieldProblem, Invalid, RateLimited

from .rendering import ProblemRenderer

CONTENT_TYPE = "application/problem+json"

logger = logging.getLogger(__name__)

TITLES: dict[str, Any] = {
    "address-refused": gettext_lazy("The address is refused"),
    "undelivered": gettext_lazy("The message was not delivered"),
    "second-factor-needed": gettext_lazy("A code is needed"),
    "invalid": gettext_lazy("The request is not valid"),
    "invalid-number": gettext_lazy("The number is not valid"),
    "invalid-json": gettext_lazy("The body is not valid JSON"),
    "unknown-parameter": gettext_lazy("Unknown query parameter"),
    "not-authenticated": gettext_lazy("Authentication is required"),
    "invalid-token": gettext_lazy("The token is not valid"),
    "login-failed": gettext_lazy("The login failed"),
    "permission-denied": gettext_lazy("Permission denied"),
    "csrf-failed": gettext_lazy("The CSRF check failed"),
    "not-found": gettext_lazy("Not found"),
    "method-not-allowed": gettext_lazy("Method not allowed"),
    "not-acceptable": gettext_lazy("Only JSON can be answered"),
    "conflict": gettext_lazy("Conflict with the current state"),
    "concurrent-change": gettext_lazy("Changed by somebody else"),
    "illegal-transition": gettext_lazy("Not possible in this state"),
    "precondition-failed": gettext_lazy("The version is old"),
    "precondition-required": gettext_lazy("If-Match is required"),
    "content-too-large": gettext_lazy("The body is too large"),
    "unsupported-media-type": gettext_lazy("The body must be JSON"),
    "risk-limit": gettext_lazy("Refused by a risk limit"),
    "idempotency-key-required": gettext_lazy("Idempotency-Key is required"),
    "idempotency-key-invalid": gettext_lazy("Idempotency-Key is not valid"),
    "idempotency-key-reused": gettext_lazy("Idempotency-Key was used for something else"),
    "idempotency-in-progress": gettext_lazy("The first request is still in progress"),
    "kill-switch-engaged": gettext_lazy("The kill switch is engaged"),
    "live-disabled": gettext_lazy("Live trading is off"),
    "stale-data": gettext_lazy("The data is stale"),
    "rate-limited": gettext_lazy("Too many requests"),
    "internal-error": gettext_lazy("Something went wrong"),
    "broker-unavailable": gettext_lazy("The broker does not answer"),
    "unavailable": gettext_lazy("Not available now"),
    "secret-unreadable": gettext_lazy("A stored secret cannot be opened"),
    "setup-done": gettext_lazy("The set-up is done already"),
}
_BY_STATUS = {
    400: "invalid",
    401: "not-authenticated",
    403: "permission-denied",
    404: "not-found",
    405: "method-not-allowed",
    406: "not-acceptable",
    409: "conflict",
    413: "content-too-large",
    415: "unsupported-media-type",
    429: "rate-limited",
    503: "unavailable",
}
INTERNAL = gettext_noop("The request failed on our side. Give the request id when you ask for help.")


def register_title(code: str, title: Any) -> None:
    """Give a code of another app its translated title; called while apps load."""
    TITLES[code] = title


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What an error answers, before it is rendered."""

    status: int
    code: str
    detail: str
    errors: Sequence[FieldProblem] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


def handler(exc: Exception, context: Mapping[str, Any]) -> Response:
    """DRF's EXCEPTION_HANDLER."""
    request = context.get("request")
    problem = describe(exc)
    if problem.status >= 500:
        logger.error("API request failed: %s", type(exc).__name__, exc_info=exc)
    set_rollback()
    path = request.path if request is not None else ""
    response = Response(document(problem, path), status=problem.status, content_type=CONTENT_TYPE)
    for name, value in problem.headers.items():
        response[name] = value
    return response


def describe(exc: Exception) -> Problem:
    """The problem an exception means; anything unforeseen is 500 without details."""
    if isinstance(exc, DomainError):
        return _domain(exc)
    if isinstance(exc, drf.APIException):
        return _drf(exc)
    if isinstance(exc, Http404 | django_exceptions.ObjectDoesNotExist):
        return Problem(status=404, code="not-found", detail=_("There is nothing at this address."))
    if isinstance(exc, django_exceptions.PermissionDenied):
        return Problem(status=403, code="permission-denied", detail=_("You may not do this."))
    if isinstance(exc, django_exceptions.ValidationError):
        return Problem(
            status=400, code="invalid", detail=_("Please correct the input."), errors=_model_errors(exc)
        )
    if isinstance(exc, django_exceptions.RequestDataTooBig):
        return Problem(status=413, code="content-too-large", detail=_("The body is larger than is allowed."))
    if isinstance(
        exc, django_exceptions.BadRequest | django_exceptions.SuspiciousOperation | MultiPartParserError
    ):
        return Problem(status=400, code="invalid", detail=_("The request cannot be understood."))
    return Problem(status=500, code="internal-error", detail=_(INTERNAL))


def document(problem: Problem, path: str) -> dict[str, Any]:
    """The JSON document of a problem at `path`."""
    title = TITLES.get(problem.code) or TITLES.get(_BY_STATUS.get(problem.status, ""), problem.code)
    fixed: dict[str, Any] = {
        "type": f"/problems/{problem.code}",
        "title": str(title),
        "status": problem.status,
        "detail": problem.detail,
        "instance": path,
        "code": problem.code,
        "request_id": context.request_id(),
    }
    if problem.errors:
        fixed["errors"] = list(problem.errors)
    return {**problem.extra, **fixed}


def http_response(request: HttpRequest, problem: Problem) -> HttpResponse:
    """A problem outside of DRF: Django's own error handlers and middleware."""
    body = ProblemRenderer().render(document(problem, request.path))
    response = HttpResponse(body, status=problem.status, content_type=CONTENT_TYPE)
    response["API-Version"] = "1"
    response["Cache-Control"] = "private, no-cache"
    for name, value in problem.headers.items():
        response[name] = value
    return response


def wants_problem(request: HttpRequest) -> bool:
    """Whether errors of this address are JSON."""
    return request.path_info.startswith("/api/") or request.path_info == "/api"


def _domain(exc: DomainError) -> Problem:
    errors = exc.errors if isinstance(exc, Invalid) else ()
    headers = {"Retry-After": str(exc.retry_after_s)} if isinstance(exc, RateLimited) else {}
    if exc.status == 401:
        headers["WWW-Authenticate"] = "Token"
    detail = exc.message if exc.status != 500 else _(INTERNAL)
    extra = {"params": exc.detail} if exc.detail and exc.status != 500 else {}
    return Problem(
        status=exc.status, code=exc.code, detail=detail, errors=errors, extra=extra, headers=headers
    )


def _drf(exc: drf.APIException) -> Problem:
    status, headers = exc.status_code, {}
    if header := getattr(exc, "auth_header", None):
        headers["WWW-Authenticate"] = str(header)
    if (wait := getattr(exc, "wait", None)) is not None:
        headers["Retry-After"] = str(int(wait) + 1)
    if isinstance(exc, drf.ValidationError):
        errors = list(_flatten(exc.get_full_details(), "#"))
        return Problem(status=400, code="invalid", detail=_("Please correct the input."), errors=errors)
    code = _BY_STATUS.get(status, "internal-error" if status >= 500 else "invalid")
    if isinstance(exc, drf.ParseError):
        code = "invalid-json"
    elif isinstance(exc, drf.PermissionDenied) and str(exc.detail).startswith("CSRF"):
        code = "csrf-failed"
    detail = str(exc.detail) if status < 500 else _(INTERNAL)
    return Problem(status=status, code=code, detail=detail, headers=headers)


def _flatten(details: Any, pointer: str) -> list[FieldProblem]:
    """DRF's nested error details as a flat list with JSON pointers."""
    if isinstance(details, list):
        nested = [item for item in details if item]
        leaf = all(isinstance(item, dict) and set(item) == {"message", "code"} for item in nested)
        parts = [(item, pointer if leaf else f"{pointer}/{i}") for i, item in enumerate(details) if item]
        return [problem for item, at in parts for problem in _flatten(item, at)]
    if isinstance(details, dict) and set(details) == {"message", "code"}:
        return [{"pointer": pointer, "code": str(details["code"]), "detail": str(details["message"])}]
    if isinstance(details, dict):
        found: list[FieldProblem] = []
        for name, value in details.items():
            step = str(name).replace("~", "~0").replace("/", "~1")
            found += _flatten(value, pointer if name == "non_field_errors" else f"{pointer}/{step}")
        return found
    return []


def _model_errors(exc: django_exceptions.ValidationError) -> list[FieldProblem]:
    if not hasattr(exc, "error_dict"):
        return [
            {"pointer": "#", "code": e.code or "invalid", "detail": " ".join(e.messages)}
            for e in exc.error_list
        ]
    return [
        {
            "pointer": "#" if name == "__all__" else f"#/{name}",
            "code": e.code or "invalid",
            "detail": " ".join(e.messages),
        }
        for name, errors in exc.error_dict.items()
        for e in errors
    ]
