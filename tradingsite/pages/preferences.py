"""Preferences of one reader."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import translation
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from tradingsite.foundation import audit, profiles, roles
from tradingsite.foundation.errors import Invalid
from tradingsite.foundation.roles import Role
from tradingsite.foundation.web import back_to, done, field_errors, form, refusal_page
from tradingsite.pages import look


def save(request: HttpRequest, response: HttpResponse, values: Mapping[str, str]) -> None:
    """Keep the values given, in profile, session and cookies. Raises Invalid naming each bad one."""
    chosen = look.changed(look.of(request), values)
    language = values.get("language", "")
    if language and language not in dict(settings.LANGUAGES):
        text = _("Please choose one of the values offered.")
        raise Invalid(text, errors=[{"pointer": "#/language", "code": "choice", "detail": text}])
    if request.user.is_authenticated:
        profile = roles.profile_of(request.user)
        profiles.change(
            profile,
            language=language or profile.language,
            theme=chosen.theme,
            palette=chosen.palette,
            time_zone=chosen.time_zone,
            base_currency=chosen.base_currency,
            preferences={**profile.preferences, "updates": chosen.updates, "keys": chosen.keys},
            actor=audit.actor_of(request),
        )
    look.remember(request, response, chosen, language)


@login_not_required
@require_POST
def set_look(request: HttpRequest) -> HttpResponse:
    """Theme, language and live updates from the menu or the login page; leads back to where it came from."""
    values = {
        key: str(value) for key, value in request.POST.items() if key in ("theme", "language", "updates")
    }
    is_script = request.headers.get("HX-Request") == "true"
    response = (
        HttpResponse(status=204) if is_script else HttpResponseRedirect(back_to(request, "pages:overview"))
    )
    try:
        save(request, response, values)
    except Invalid as error:
        return refusal_page(request, error)
    return response


@form(Role.VIEWER)
def preferences(request: HttpRequest) -> HttpResponse:
    """The page with all of them."""
    typed = {key: str(value) for key, value in request.POST.items()}
    if request.method != "POST":
        return render(request, "pages/preferences.html", _context({}))
    language = typed.get("language", "")
    with translation.override(
        language if language in dict(settings.LANGUAGES) else translation.get_language()
    ):
        response = done(request, _("Your preferences are saved."), "pages:preferences")
    try:
        save(request, response, typed)
    except Invalid as error:
        return render(request, "pages/preferences.html", _context(field_errors(error)), status=422)
    return response


def _context(errors: Mapping[str, str]) -> dict[str, Any]:
    labels = {
        "theme": _("Theme"), "palette": _("Colours of prices"), "time_zone": _("Time zone"), "language": _("Language"),
        "updates": _("Live updates"), "keys": _("Keyboard shortcuts"), "base_currency": _("Base currency"),
    }  # fmt: skip
    problems = [
        {"id": f"f-{name}", "label": labels.get(name, name), "text": text} for name, text in errors.items()
    ]
    return {
        "zones": look.zones(),
        "palettes": look.PALETTES,
        "currencies": look.CURRENCIES,
        "problems": problems,
    }
