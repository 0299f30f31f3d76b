"""The inbox of differences between a venue's books and ours: each is explained by a person, or goes by itself."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from assets.trading.selectors import venues as reads_
from assets.trading.services import reconciliation, venue_accounts
from tradingsite.foundation import audit, clock
from tradingsite.foundation.errors import Conflict
from tradingsite.foundation.roles import Role
from tradingsite.foundation.web import done, posts, reads


@reads
def inbox(request: HttpRequest) -> HttpResponse:
    """What is open, and what somebody has explained and is still there."""
    context = {
        "rows": reads_.inbox(clock.now()),
        "open_count": reads_.open_count(),
        "accounts": reads_.accounts(),
    }
    return render(request, "trading/reconciliation.html", context)


@posts(Role.TRADER)
def resolve(request: HttpRequest, pk: int) -> HttpResponse:
    """Explain a difference (it no longer blocks while it stays as it is), or take the venue's opening balance over."""
    action, actor, now = request.POST.get("action", ""), audit.actor_of(request), clock.now()
    if action == "adopt":
        venue_accounts.adopt(pk, actor=actor, now=now)
        return done(request, _("The venue's balance is taken over."), "pages:reconciliation")
    if action != "ignore":
        raise Conflict(_("There is no such action."), code="unknown-action")
    reconciliation.ignore(pk, actor=actor, now=now, reason=request.POST.get("reason", ""))
    return done(request, _("The difference is explained and no longer blocks."), "pages:reconciliation")
