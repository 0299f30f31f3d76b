"""Security of one's own login: the second factor and the open sessions."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters

from tradingsite.foundation import audit, clock, login, second_factor, sessions
from tradingsite.foundation.errors import Invalid, NotAuthenticated
from tradingsite.foundation.roles import Role
from tradingsite.foundation.web import done, posts, reads


def _page(
    request: HttpRequest,
    *,
    errors: dict[str, str] | None = None,
    codes: tuple[str, ...] = (),
    status: int = 200,
) -> HttpResponse:
    labels = {"code": _("Code"), "password": _("Password")}
    found, factor = errors or {}, second_factor.standing(request.user)
    prefix = "f-off-" if factor.is_on else "f-"
    context: dict[str, Any] = {
        "factor": factor,
        "enrolment": second_factor.waiting(request.user),
        "sessions": sessions.own(request),
        "codes": codes,
        "errors": found,
        "problems": [
            {"id": f"{prefix}{name}", "label": labels[name], "text": text} for name, text in found.items()
        ],
    }
    return render(request, "pages/security.html", context, status=status)


@never_cache
@reads
def security(request: HttpRequest) -> HttpResponse:
    """The page."""
    return _page(request)


@sensitive_post_parameters("password")
@posts(Role.VIEWER)
def begin(request: HttpRequest) -> HttpResponse:
    """Make a secret for an app, with the password."""
    try:
        login.confirm(request=request, password=request.POST.get("password", ""))
    except NotAuthenticated as error:
        return _page(request, errors={"password": error.message}, status=422)
    second_factor.begin(request.user, actor=audit.actor_of(request), now=clock.now())
    return done(request, _("Enter the key in your app, then its first code here."), "pages:security")


@sensitive_post_parameters("code")
@posts(Role.VIEWER)
def confirm(request: HttpRequest) -> HttpResponse:
    """The first code turns it on; the recovery codes are shown on this answer and never again."""
    try:
        codes = second_factor.confirm(
            request.user, request.POST.get("code", "")[:64], actor=audit.actor_of(request), now=clock.now()
        )
    except Invalid as error:
        return _page(request, errors={"code": error.message}, status=422)
    return _page(request, codes=codes)


@sensitive_post_parameters("password", "code")
@posts(Role.VIEWER)
def turn_off(request: HttpRequest) -> HttpResponse:
    """Password and a code, both."""
    errors = _both(request)
    if errors:
        return _page(request, errors=errors, status=422)
    second_factor.turn_off(request.user, actor=audit.actor_of(request))
    return done(request, _("The second factor is off."), "pages:security")


@sensitive_post_parameters("password", "code")
@posts(Role.VIEWER)
def new_codes(request: HttpRequest) -> HttpResponse:
    """New recovery codes in place of the old ones."""
    errors = _both(request)
    if errors:
        return _page(request, errors=errors, status=422)
    return _page(request, codes=second_factor.new_codes(request.user, actor=audit.actor_of(request)))


def _both(request: HttpRequest) -> dict[str, str]:
    """Problems with password and code, by field. The code is only used up when the password is right."""
    steps = (
        ("password", lambda: login.confirm(request=request, password=request.POST.get("password", ""))),
        ("code", lambda: login.confirm_code(request=request, code=request.POST.get("code", ""))),
    )
    for name, step in steps:
        try:
            step()
        except NotAuthenticated as error:
            return {name: error.message}
    return {}


@posts(Role.VIEWER)
def end_session(request: HttpRequest) -> HttpResponse:
    """End one of one's own sessions."""
    sessions.end(request, request.POST.get("session", "")[:64])
    return done(request, _("The session has ended."), "pages:security")


@posts(Role.VIEWER)
def end_others(request: HttpRequest) -> HttpResponse:
    """End all but this one."""
    count = sessions.end_others(request)
    return done(request, _("Other sessions ended: %(count)s.") % {"count": count}, "pages:security")
