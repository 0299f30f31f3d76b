"""Where one's alerts go: channels with their last result, a test that tells the exact error, and the form for a new one."""

from __future__ import annotations

from dataclasses import asdict
from datetime import time
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import pgettext
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters

from tradingsite.foundation import audit, clock, login, states_text
from tradingsite.foundation.errors import Conflict, FieldProblem, Invalid, NotAuthenticated
from tradingsite.foundation.notify import channels, selectors, services, thirdparty
from tradingsite.foundation.roles import Role
from tradingsite.foundation.web import done, field_errors, posts, reads

_KEPT = ("kind", "name", "min_severity", "quiet_start", "quiet_end", "digest_minutes")


def _page(
    request: HttpRequest, *, status: int = 200, errors: dict[str, str] | None = None, **more: Any
) -> HttpResponse:
    labels = {
        "kind": _("Kind"), "name": _("Name"), "address": pgettext("channel", "Target"), "password": _("Your password"),
        "min_severity": _("From severity"), "quiet_start": _("Quiet from"), "quiet_end": _("Quiet until"),
        "digest_minutes": _("Collect for (minutes)"),
    }  # fmt: skip
    found = errors or {}
    context = {
        "rows": [_row(channel) for channel in selectors.channels(request.user)],
        "kinds": [(kind, selectors.kind_text(kind)) for kind in channels.KINDS],
        "severities": [(value, state.word) for value, state in states_text.SEVERITY.items()],
        "examples": [service.example for service in thirdparty.SERVICES.values()],
        # What was typed, but for the secrets.
        "typed": {name: request.POST.get(name, "")[:80] for name in _KEPT} if found else {},
        "errors": found,
        "problems": [
            {"id": f"f-{name}", "label": labels[name], "text": text} for name, text in found.items()
        ],
        **more,
    }
    return render(request, "pages/notifications.html", context, status=status)


def _row(channel: Any) -> dict[str, Any]:
    row = selectors.channel_row(channel)
    return {**asdict(row), "kind_text": selectors.kind_text(row.kind)}


@never_cache
@reads
def notifications(request: HttpRequest) -> HttpResponse:
    """The page."""
    return _page(request)


@sensitive_post_parameters("password", "address")
@posts(Role.OPERATOR)
def add(request: HttpRequest) -> HttpResponse:
    """A new channel, with the password. The key of a webhook's signature is on this answer and never again."""
    try:
        wishes = _wishes(request)
        login.confirm(request=request, password=request.POST.get("password", ""))
        added = services.add(
            owner=request.user, kind=request.POST.get("kind", ""), name=request.POST.get("name", "")[:200],
            address=request.POST.get("address", ""), wishes=wishes, actor=audit.actor_of(request), now=clock.now(),
        )  # fmt: skip
    except NotAuthenticated as error:
        return _page(request, errors={"password": error.message}, status=422)
    except Invalid as error:
        return _page(request, errors=field_errors(error), status=422)
    except Conflict as error:
        return _page(request, errors={"name": error.message}, status=409)
    if added.key:
        return _page(request, key=added.key)
    return done(
        request,
        _("The channel %(name)s is added. Send a test.") % {"name": added.name},
        "pages:notifications",
    )


def _wishes(request: HttpRequest) -> services.Wishes:
    errors: list[FieldProblem] = []
    times: dict[str, time | None] = {}
    for name in ("quiet_start", "quiet_end"):
        try:
            text = request.POST.get(name, "").strip()
            times[name] = time.fromisoformat(text) if text else None
            if (found := times[name]) is not None and found.tzinfo is not None:
                raise ValueError(text)
        except ValueError:
            errors.append(
                {"pointer": f"#/{name}", "code": "invalid", "detail": _("A time like 22:30 is needed.")}
            )
    minutes = request.POST.get("digest_minutes", "").strip() or "0"
    if not (minutes.isascii() and minutes.isdigit() and len(minutes) <= 5):
        text = _("A digest collects for 0 to 1440 minutes.")
        errors.append({"pointer": "#/digest_minutes", "code": "invalid", "detail": text})
    if errors:
        raise Invalid(_("Please correct the marked fields."), errors=errors)
    return services.Wishes(
        min_severity=request.POST.get("min_severity", "warning"), digest_minutes=int(minutes), **times
    )


@posts(Role.OPERATOR)
def test(request: HttpRequest, pk: int) -> HttpResponse:
    """Send a test message and show what became of it."""
    tested = services.test(pk, owner=request.user, actor=audit.actor_of(request), now=clock.now())
    return _page(request, tested=tested)


@posts(Role.OPERATOR)
def switch(request: HttpRequest, pk: int) -> HttpResponse:
    """Turn a channel off, or on again."""
    is_on = services.switch(pk, owner=request.user, actor=audit.actor_of(request), now=clock.now())
    text = _("The channel is on.") if is_on else _("The channel is off.")
    return done(request, text, "pages:notifications")


@posts(Role.OPERATOR)
def remove(request: HttpRequest, pk: int) -> HttpResponse:
    """Delete a channel."""
    name = services.remove(pk, owner=request.user, actor=audit.actor_of(request), now=clock.now())
    return done(request, _("The channel %(name)s is removed.") % {"name": name}, "pages:notifications")
