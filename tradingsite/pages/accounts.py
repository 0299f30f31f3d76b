"""Login, logout, password."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render, resolve_url
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from tradingsite.foundation import audit, roles
from tradingsite.foundation import login as service
from tradingsite.foundation.errors import Invalid, NotAuthenticated, RateLimited
from tradingsite.foundation.roles import Role
from tradingsite.foundation.web import done, field_errors
from tradingsite.foundation.web import form as form_page
from tradingsite.pages import look


@login_not_required
@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def login(request: HttpRequest) -> HttpResponse:
    """The login form. One message for every failure; 429 with Retry-After when the brakes are on."""
    wanted = request.POST.get("next", request.GET.get("next", ""))
    if request.user.is_authenticated and request.method != "POST":
        return HttpResponseRedirect(_safe(request, wanted))
    context = {"next": wanted, "username": request.POST.get("username", "")[:254]}
    if request.method != "POST":
        return render(request, "pages/login.html", context)
    try:
        user = service.attempt(
            request=request,
            username=request.POST.get("username", ""),
            password=request.POST.get("password", ""),
        )
    except RateLimited as error:
        response = render(request, "pages/login.html", {**context, "problem": error.message}, status=429)
        response.headers["Retry-After"] = str(error.retry_after_s)
        return response
    except service.SecondFactorNeeded:
        return redirect(f"{resolve_url('pages:login-code')}?{urlencode({'next': wanted})}")
    except NotAuthenticated as error:
        return render(request, "pages/login.html", {**context, "problem": error.message}, status=422)
    return _entered(request, user, wanted)


@login_not_required
@never_cache
@sensitive_post_parameters("code")
@require_http_methods(["GET", "HEAD", "POST"])
def login_code(request: HttpRequest) -> HttpResponse:
    """The second step, for whoever has just entered the right password; everybody else begins at the login."""
    wanted = request.POST.get("next", request.GET.get("next", ""))
    if not service.is_half_way(request):
        return redirect("pages:login")
    context = {"next": wanted}
    if request.method != "POST":
        return render(request, "pages/login_code.html", context)
    try:
        user = service.finish(request=request, code=request.POST.get("code", ""))
    except RateLimited as error:
        response = render(request, "pages/login_code.html", {**context, "problem": error.message}, status=429)
        response.headers["Retry-After"] = str(error.retry_after_s)
        return response
    except NotAuthenticated as error:
        return render(request, "pages/login_code.html", {**context, "problem": error.message}, status=422)
    return _entered(request, user, wanted)


def _entered(request: HttpRequest, user: Any, wanted: str) -> HttpResponse:
    response = HttpResponseRedirect(_safe(request, wanted))
    profile = roles.profile_of(user)
    look.remember(request, response, look.from_profile(profile), profile.language)
    return response


def _safe(request: HttpRequest, url: str) -> str:
    """`url` when it is one of our own pages, else the overview."""
    if url_has_allowed_host_and_scheme(url, {request.get_host()}, require_https=request.is_secure()):
        return url
    return "/"


def admin_login(request: HttpRequest) -> HttpResponse:
    """In place of the administration's own login, which would have no brakes. Strangers go to the site's login first."""
    if not request.user.is_staff:
        raise PermissionDenied
    return redirect("admin:index")


@require_POST
def logout(request: HttpRequest) -> HttpResponse:
    """End the session on the server."""
    service.leave(request)
    return redirect("pages:login")


@sensitive_post_parameters()
@form_page(Role.VIEWER)
def password(request: HttpRequest) -> HttpResponse:
    """Change one's own password; other sessions of the user end."""
    if request.method != "POST":
        return render(request, "pages/password.html", {})
    try:
        _change(request)
    except Invalid as error:
        errors = field_errors(error)
        problems = [{"id": f"f-{name}", "label": _label(name), "text": text} for name, text in errors.items()]
        return render(request, "pages/password.html", {"errors": errors, "problems": problems}, status=422)
    return done(request, _("The password is changed. Other sessions have ended."), "pages:preferences")


def _label(name: str) -> str:
    return {"old": _("Current password"), "new": _("New password"), "again": _("New password again")}[name]


def _change(request: HttpRequest) -> None:
    user: Any = request.user
    new = request.POST.get("new", "")
    problems: dict[str, str] = {}
    if not user.check_password(request.POST.get("old", "")):
        problems["old"] = _("This is not your current password.")
    try:
        validate_password(new, user)
    except ValidationError as error:
        problems["new"] = " ".join(error.messages)
    if new != request.POST.get("again", ""):
        problems["again"] = _("The two new passwords differ.")
    if problems:
        raise Invalid(
            _("Please correct the marked fields."),
            errors=[
                {"pointer": f"#/{name}", "code": "invalid", "detail": text} for name, text in problems.items()
            ],
        )
    user.set_password(new)
    user.save(update_fields=["password"])
    update_session_auth_hash(request, user)
    audit.record(
        action="user.password",
        actor=audit.actor_of(request),
        object_type="user",
        object_id=user.pk,
        request=request,
    )
