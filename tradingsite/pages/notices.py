"""Alerts and the audit log."""

from __future__ import annotations

from typing import Any, Final

from django.db.models import Count, Max, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from orchestrator.selectors.pages import page_of
from tradingsite.foundation import alerts as service
from tradingsite.foundation import audit, clock, said, selectors
from tradingsite.foundation.errors import Invalid
from tradingsite.foundation.notify import advice
from tradingsite.foundation.notify import selectors as notify
from tradingsite.foundation.roles import Role
from tradingsite.foundation.web import done, fragment, only, page_number, posts, reads, reads_as, version_of

PAGE_SIZE: Final = 50
STATES: Final = {"open": ("open",), "acknowledged": ("acknowledged",), "resolved": ("resolved",), "all": ()}


def _state(request: HttpRequest) -> str:
    only(request, "state")
    state = request.GET.get("state", "open")
    if state not in STATES:
        raise Invalid(_("There is no state %(status)s.") % {"status": state[:20]})
    return state


def _alerts(request: HttpRequest) -> dict[str, Any]:
    state, number = _state(request), page_number(request)
    start = (number - 1) * PAGE_SIZE
    found = selectors.alerts(status=STATES[state])[start : start + PAGE_SIZE + 1]
    page = page_of([selectors.alert_row(alert) for alert in found], number, PAGE_SIZE)
    undelivered = notify.undelivered_counts([row.id for row in page.rows])
    return {
        "page": page,
        "undelivered": undelivered,
        "rows": page.rows,
        "state_name": state,
        "version": _alert_version(request),
    }


def _alert_version(request: HttpRequest) -> str:
    facts = selectors.alerts().order_by().aggregate(newest=Max("pk"), seen=Max("last_seen_at"), ack=Max("acknowledged_at"), end=Max("resolved_at"), count=Sum("count"), snooze=Max("snoozed_until"), snoozed=Count("snoozed_until"))  # fmt: skip
    return version_of(*facts.values(), notify.undelivered_total(), _state(request), page_number(request))


@reads
def alerts(request: HttpRequest) -> HttpResponse:
    """The inbox, open ones by default."""
    words = [
        ("open", _("Open")),
        ("acknowledged", _("Acknowledged")),
        ("resolved", _("Resolved")),
        ("all", _("All")),
    ]
    return render(request, "pages/alerts.html", {**_alerts(request), "states": words})


@reads
def alert_rows(request: HttpRequest) -> HttpResponse:
    """The list alone, or 204."""
    return fragment(request, "pages/_alert_rows.html", _alert_version(request), lambda: _alerts(request))


@reads
def alert(request: HttpRequest, pk: int) -> HttpResponse:
    """One alert: what, why, what to do, and whom it was told."""
    row = selectors.alert(pk)
    context = {
        "row": row,
        "advice": advice.for_code(row.code),
        "deliveries": notify.deliveries(pk),
        "is_snoozed": row.snoozed_until is not None and row.snoozed_until > clock.now(),
        "snoozes": _snoozes(),
    }
    return render(request, "pages/alert.html", context)


def _snoozes() -> list[tuple[int, str]]:
    return [(60, _("1 hour")), (240, _("4 hours")), (1440, _("1 day")), (10080, _("1 week"))]


@posts(Role.OPERATOR)
def alert_snooze(request: HttpRequest, pk: int) -> HttpResponse:
    """Leave people alone about it for a while; 0 ends that."""
    text = request.POST.get("minutes", "")[:6]
    if not text.isascii() or not text.isdigit():
        raise Invalid(_("Choose how long."))
    found = service.snooze(pk, int(text), audit.actor_of(request), clock.now())
    said_so = _("Snoozed: %(title)s") if found.snoozed_until else _("No longer snoozed: %(title)s")
    return done(request, said_so % {"title": service.title(found)}, "pages:alerts")


@posts(Role.OPERATOR)
def alert_acknowledge(request: HttpRequest, pk: int) -> HttpResponse:
    """Somebody has seen it. Twice is once."""
    alert = service.acknowledge(pk, audit.actor_of(request), clock.now())
    return done(request, _("Acknowledged: %(title)s") % {"title": service.title(alert)}, "pages:alerts")


@reads_as(Role.ADMIN)
def audit_log(request: HttpRequest) -> HttpResponse:
    """Who did what, newest first."""
    only(request, "action", "actor")
    number = page_number(request)
    wanted = {key: request.GET.get(key, "")[:80] for key in ("action", "actor")}
    start = (number - 1) * PAGE_SIZE
    found = selectors.audit_events(action=wanted["action"], actor=wanted["actor"])[
        start : start + PAGE_SIZE + 1
    ]
    page = page_of([_audit_row(selectors.audit_row(event)) for event in found], number, PAGE_SIZE)
    return render(request, "pages/audit.html", {"page": page, "rows": page.rows, "wanted": wanted})


def _audit_row(row: selectors.AuditRow) -> dict[str, Any]:
    before, after = dict(said.pairs(row.before)), dict(said.pairs(row.after))
    names = dict.fromkeys([*before, *after])
    changes = [
        (name, before.get(name, ""), after.get(name, ""))
        for name in names
        if before.get(name) != after.get(name)
    ]
    return {"row": row, "changes": changes}


@reads_as(Role.ADMIN)
def audit_check(request: HttpRequest) -> HttpResponse:
    """Verify the newest part of the chain now, and say what was found."""
    return render(request, "pages/audit_check.html", {"report": audit.verify(limit=5000)})
