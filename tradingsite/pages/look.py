"""How one reader likes the site: language, theme, time zone, colours, live updates, shortcuts.

Kept in the profile and copied into the session at login, so that no page needs a query for it.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from tradingsite.foundation.errors import FieldProblem, Invalid

SESSION_KEY: Final = "look"
THEME_COOKIE: Final = "theme"
THEMES: Final = (
    ("system", gettext_lazy("As the system")),
    ("light", pgettext_lazy("theme", "Light")),
    ("dark", pgettext_lazy("theme", "Dark")),
)
PALETTES: Final = (
    ("green-red", gettext_lazy("Green up, red down")),
    ("blue-orange", gettext_lazy("Blue up, orange down")),
    ("red-green", gettext_lazy("Red up, green down")),
)
ON_OFF: Final = ("on", "off")
CURRENCIES: Final = ("USD", "EUR", "GBP", "CHF")


@dataclass(frozen=True, slots=True)
class Look:
    """`theme` system, light or dark; `updates` and `keys` on or off; `time_zone` an IANA name."""

    theme: str = "system"
    palette: str = "green-red"
    time_zone: str = "UTC"
    updates: str = "on"
    keys: str = "on"
    base_currency: str = "USD"

    @property
    def themes(self) -> tuple[tuple[str, Any], ...]:
        return THEMES

    @property
    def languages(self) -> list[tuple[str, str]]:
        return list(settings.LANGUAGES)


def zones() -> list[str]:
    """Every time zone a person may choose, UTC first."""
    names = zoneinfo.available_timezones()
    return [
        "UTC",
        *sorted(name for name in names if "/" in name and not name.startswith(("Etc/", "posix/", "right/"))),
    ]


def of(request: HttpRequest) -> Look:
    """The reader's look; before login only the theme cookie is known."""
    session = getattr(request, "session", None)
    stored = session.get(SESSION_KEY) if session is not None else None
    if isinstance(stored, dict):
        known = {name: value for name, value in stored.items() if name in Look.__dataclass_fields__}
        return Look(**known)
    theme = request.COOKIES.get(THEME_COOKIE, "")
    return Look(theme=theme if theme in dict(THEMES) else "system")


def from_profile(profile: Any) -> Look:
    extra = profile.preferences if isinstance(profile.preferences, dict) else {}
    return Look(
        theme=profile.theme,
        palette=profile.palette,
        time_zone=profile.time_zone,
        updates=str(extra.get("updates", "on")),
        keys=str(extra.get("keys", "on")),
        base_currency=profile.base_currency,
    )


def changed(look: Look, values: Mapping[str, str]) -> Look:
    """The look with the values given. Raises Invalid naming every value that is not on its list."""
    allowed: dict[str, Any] = {
        "theme": dict(THEMES),
        "palette": dict(PALETTES),
        "updates": ON_OFF,
        "keys": ON_OFF,
        "base_currency": CURRENCIES,
        "time_zone": zoneinfo.available_timezones() if "time_zone" in values else (),
    }
    problems: list[FieldProblem] = []
    accepted: dict[str, str] = {}
    for name, choices in allowed.items():
        if name not in values:
            continue
        if values[name] in choices:
            accepted[name] = values[name]
        else:
            text = _("Please choose one of the values offered.")
            problems.append({"pointer": f"#/{name}", "code": "choice", "detail": text})
    if problems:
        raise Invalid(_("Please correct the marked fields."), errors=problems)
    return replace(look, **accepted)


def remember(request: HttpRequest, response: HttpResponse, look: Look, language: str = "") -> None:
    """Put the look into the session, and theme and language into cookies for the pages before login."""
    request.session[SESSION_KEY] = {name: getattr(look, name) for name in Look.__dataclass_fields__}
    secure = request.is_secure()
    year = 365 * 86400
    response.set_cookie(THEME_COOKIE, look.theme, max_age=year, secure=secure, httponly=True, samesite="Lax")
    if language in dict(settings.LANGUAGES):
        response.set_cookie(
            settings.LANGUAGE_COOKIE_NAME,
            language,
            max_age=year,
            secure=secure,
            httponly=True,
            samesite="Lax",
        )
