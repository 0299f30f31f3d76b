"""Data: what the demo holds, and taking it away."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import pgettext
from django.views.decorators.debug import sensitive_post_parameters

from tradingsite.foundation import audit, clock, login
from tradingsite.foundation.errors import Invalid, NotAuthenticated
from tradingsite.foundation.roles import Role, require
from tradingsite.foundation.web import done, field_errors, form
from tradingsite.management import demo


def _words() -> dict[str, str]:
    return {
        "accounts": _("Accounts"), "orders": _("Orders"), "fills": _("Trades"), "positions": _("Positions"),
        "equity_points": _("Equity points"), "instruments": _("Instruments"), "candles": _("Candles"),
        "decisions": _("Decisions"), "runs": _("Runs"),
    }  # fmt: skip


def _context(errors: dict[str, str]) -> dict[str, Any]:
    counts = demo.counts()
    labels = {"phrase": _("Phrase"), "password": _("Your password"), "reason": pgettext("audit", "Reason")}
    return {
        "counts": [(word, counts[name]) for name, word in _words().items() if name in counts],
        "is_empty": not any(counts.values()),
        "next_step": demo.next_step() if demo.was_removed() else "",
        "phrase": demo.PHRASE,
        "why_not": demo.why_not(is_running=True),
        "errors": errors,
        "problems": [
            {"id": f"f-{name}", "label": labels[name], "text": text} for name, text in errors.items()
        ],
    }


@sensitive_post_parameters("password")
@form(Role.ADMIN)
def data(request: HttpRequest) -> HttpResponse:
    """The page. Removing asks for the phrase, the password and a reason: it cannot be undone."""
    if request.method != "POST":
        require(request.user, Role.ADMIN)
        return render(request, "pages/data.html", _context({}))
    try:
        _require(request)
    except Invalid as error:
        return render(request, "pages/data.html", _context(field_errors(error)), status=422)
    actor, reason = audit.actor_of(request), request.POST["reason"].strip()[:200]
    gone = demo.remove(actor, clock.now(), is_running=True, reason=reason)
    text = _("The demo is gone: %(orders)s orders, %(candles)s candles and what belongs to them.")
    told = text % {"orders": gone["orders"], "candles": gone["candles"]}
    return done(request, f"{told} {demo.next_step()}", "pages:data")


def _require(request: HttpRequest) -> None:
    problems: dict[str, str] = {}
    if request.POST.get("phrase", "").strip() != demo.PHRASE:
        problems["phrase"] = _("Please type exactly: %(phrase)s") % {"phrase": demo.PHRASE}
    if not request.POST.get("reason", "").strip():
        problems["reason"] = _("Please say why; it goes into the audit log.")
    if not problems:
        try:
            login.confirm(request=request, password=request.POST.get("password", ""))
        except NotAuthenticated as error:
            problems["password"] = error.message
    if problems:
        raise Invalid(
            _("Please correct the marked fields."),
            errors=[
                {"pointer": f"#/{name}", "code": "invalid", "detail": text} for name, text in problems.items()
            ],
        )
