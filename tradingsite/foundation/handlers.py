"""Django's error handlers for urls.py: problem documents under /api/, pages elsewhere. Nothing about the
inside is said.
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.translation import gettext as _
from django.views import csrf, defaults

from .api.problem import INTERNAL, Problem, describe, http_response, wants_problem


def handler400(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    if wants_problem(request):
        return http_response(request, describe(exception))
    return defaults.bad_request(request, exception)


def handler403(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    if wants_problem(request):
        return http_response(request, describe(exception))
    return defaults.permission_denied(request, exception)


def handler404(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    if wants_problem(request):
        return http_response(request, describe(exception))
    return defaults.page_not_found(request, exception)


def handler500(request: HttpRequest) -> HttpResponseBase:
    if wants_problem(request):
        return http_response(request, Problem(status=500, code="internal-error", detail=_(INTERNAL)))
    return defaults.server_error(request)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """settings.CSRF_FAILURE_VIEW."""
    if wants_problem(request):
        detail = _("The CSRF token is missing or wrong. Reload the page.")
        return http_response(request, Problem(status=403, code="csrf-failed", detail=detail))
    return csrf.csrf_failure(request, reason)
