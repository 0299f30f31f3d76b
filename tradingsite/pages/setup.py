"""First run, three short steps: administrator, language and time, start. Skippable after the first."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import auth
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import translation
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from assets.markets.selectors.pages import is_demo_feed
from assets.markets.services import instruments
from assets.trading import registry
from assets.trading.services import accounts
from orchestrator.services import control, workflows
from tradingsite.foundation import audit, clock, roles, setup
from tradingsite.foundation.errors import Conflict, Invalid
from tradingsite.foundation.roles import Role
from tradingsite.foundation.web import done, field_errors, form
from tradingsite.management import demo
from tradingsite.pages import look, nav
from tradingsite.pages.preferences import save


def _steps(current: int) -> list[dict[str, Any]]:
    names = (_("Administrator"), _("Language and time"), _("Start"))
    return [{"number": n, "name": name, "current": n == current} for n, name in enumerate(names, start=1)]


@login_not_required
@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def administrator(request: HttpRequest) -> HttpResponse:
    """Step 1. Exists only while no user does (the middleware answers 404 afterwards)."""
    context: dict[str, Any] = {"steps": _steps(1), "typed": request.POST}
    if request.method != "POST":
        return render(request, "pages/setup_admin.html", context)
    try:
        user = setup.create_first_admin(
            username=request.POST.get("username", ""),
            password=request.POST.get("password", ""),
            email=request.POST.get("email", ""),
            language=translation.get_language() or settings.LANGUAGE_CODE,
            request=request,
        )
    except Conflict:
        return redirect("pages:login")
    except Invalid as error:
        errors = field_errors(error)
        labels = {"username": _("User name"), "email": _("E-mail (optional)"), "password": _("Password")}
        problems = [{"id": f"f-{n}", "label": labels.get(n, n), "text": text} for n, text in errors.items()]
        return render(
            request, "pages/setup_admin.html", {**context, "errors": errors, "problems": problems}, status=422
        )
    auth.login(request, user)
    response = redirect("pages:setup-look")
    look.remember(request, response, look.from_profile(roles.profile_of(user)))
    return response


@form(Role.ADMIN)
def look_and_time(request: HttpRequest) -> HttpResponse:
    """Step 2."""
    if request.method != "POST":
        context = {"steps": _steps(2), "zones": look.zones(), "currencies": look.CURRENCIES}
        return render(request, "pages/setup_look.html", context)
    response = redirect("pages:setup-start")
    save(request, response, {key: str(value) for key, value in request.POST.items()})
    return response


@form(Role.ADMIN)
def start(request: HttpRequest) -> HttpResponse:
    """Step 3: create what the installed asset types need, and start unless told not to. All of it is paper."""
    specs = [
        {
            "title": nav.asset_title(spec.asset_type),
            "currency": spec.currency,
            "balance": spec.opening_balance,
        }
        for spec in registry.account_specs()
    ]
    if request.method != "POST":
        return render(
            request, "pages/setup_start.html", {"steps": _steps(3), "specs": specs, "is_demo": is_demo_feed()}
        )
    now, actor = clock.now(), audit.actor_of(request)
    with_demo = demo.is_wanted()
    instruments.sync_universe(now, with_demo=with_demo)
    workflows.sync_from_plugins(now)
    accounts.ensure_paper_accounts(now, is_demo=with_demo)
    if request.POST.get("begin") == "now":
        control.start(actor, now, reason="first run")
        return done(
            request,
            _("Ready. The engine looks at every workflow once a second from now on."),
            "pages:overview",
        )
    return done(request, _("Ready. Nothing runs until you start it."), "pages:overview")
