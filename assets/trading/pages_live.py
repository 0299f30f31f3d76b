"""The gate to real money: a list of conditions, red or green, and one form that works when all are green."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters

from assets.trading.selectors import live as reads_
from assets.trading.services import live_gate
from tradingsite.foundation import audit, clock, login, second_factor
from tradingsite.foundation.errors import Conflict, NotAuthenticated, RiskRefused
from tradingsite.foundation.roles import Role, require
from tradingsite.foundation.web import done, form, posts


def _page(
    request: HttpRequest, pk: int, errors: dict[str, str] | None = None, general: str = "", status: int = 200
) -> HttpResponse:
    account, now, found = live_gate.account_of(pk), clock.now(), errors or {}
    checks = [*live_gate.checks(account, now), _second_factor(request)]
    labels = {"phrase": _("Phrase"), "password": _("Password"), "code": _("Code")}
    approval = reads_.approval(pk) if account.mode == "live" else None
    context: dict[str, Any] = {
        "account": account, "checks": checks, "all_green": all(check.ok for check in checks), "errors": found,
        "problems": [{"id": f"f-{name}", "label": labels[name], "text": text} for name, text in found.items()],
        "general": general, "phrase": live_gate.phrase(account), "approval": approval,
        "last": reads_.last(pk), "workflows": reads_.workflows(account.asset_type),
    }  # fmt: skip
    return render(request, "trading/live.html", context, status=status)


def _second_factor(request: HttpRequest) -> live_gate.Check:
    on = second_factor.is_on(request.user)
    detail = (
        _("Your second factor is on.") if on else _("Turn it on under Security; a code of it is asked here.")
    )
    return live_gate.Check(
        code="second-factor", label=_("Your login has a second factor"), ok=on, detail=detail
    )


@sensitive_post_parameters("password", "code")
@form(Role.ADMIN)
def live(request: HttpRequest, pk: int) -> HttpResponse:
    """The checklist. Posting with any check red, another phrase, password or code is refused (422) and changes nothing."""
    if request.method != "POST":
        require(request.user, Role.ADMIN)
        return _page(request, pk)
    account, posted = live_gate.account_of(pk), request.POST
    red = [check.label for check in live_gate.checks(account, clock.now()) if not check.ok]
    if red:
        # Before anything is asked: a code must not be used up in vain.
        return _page(request, pk, general=_("Not green: %(names)s.") % {"names": ", ".join(red)}, status=422)
    try:
        login.confirm(request=request, password=posted.get("password", ""))
    except NotAuthenticated as error:
        return _page(request, pk, {"password": error.message}, status=422)
    if " ".join(posted.get("phrase", "").split()) != live_gate.phrase(account):
        text = _("Please type exactly: %(phrase)s") % {"phrase": live_gate.phrase(account)}
        return _page(request, pk, {"phrase": text}, status=422)
    try:
        login.confirm_code(request=request, code=posted.get("code", ""))
        live_gate.approve(pk, typed=posted.get("phrase", ""), actor=audit.actor_of(request), now=clock.now())
    except (NotAuthenticated, Conflict) as error:
        return _page(request, pk, {"code": error.message}, status=422)
    except RiskRefused as error:
        return _page(request, pk, general=error.message, status=422)
    return done(request, _("%(name)s trades real money now.") % {"name": account.name}, "pages:brokers")


@posts(Role.OPERATOR)
def revoke(request: HttpRequest, pk: int) -> HttpResponse:
    """Back to paper at once: whoever may operate may make it safer."""
    account = live_gate.account_of(pk)
    live_gate.revoke(account, "by hand", actor=audit.actor_of(request), now=clock.now())
    return done(
        request, _("%(name)s trades no real money any more.") % {"name": account.name}, "pages:brokers"
    )


@sensitive_post_parameters("password")
@posts(Role.ADMIN)
def workflow(request: HttpRequest, pk: int) -> HttpResponse:
    """Approve the workflow as it is now for real money (with the password), or take that back."""
    account, slug = live_gate.account_of(pk), request.POST.get("workflow", "")
    if slug not in {row.slug for row in reads_.workflows(account.asset_type)}:
        raise Conflict(_("This workflow does not trade this account."), code="other-workflow")
    actor, now = audit.actor_of(request), clock.now()
    if request.POST.get("action") == "withdraw":
        live_gate.withdraw_workflow(slug, actor=actor, now=now)
        return done(request, _("The approval of the workflow is taken back."), _address(pk))
    try:
        login.confirm(request=request, password=request.POST.get("password", ""))
    except NotAuthenticated as error:
        return _page(request, pk, general=error.message, status=422)
    live_gate.approve_workflow(slug, actor=actor, now=now)
    return done(request, _("The workflow is approved as it is now."), _address(pk))


def _address(pk: int) -> str:
    return f"/settings/live/{pk}/"
