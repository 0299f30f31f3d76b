"""The switch: pause entries, drain, stop, start. Stopping is easy on purpose; releasing asks for a reason."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from orchestrator.selectors import pages as reads_
from orchestrator.selectors.pages_health import queue
from orchestrator.services import control as service
from orchestrator.services import exits
from tradingsite.foundation import audit, clock
from tradingsite.foundation.errors import Invalid
from tradingsite.foundation.roles import Role
from tradingsite.foundation.web import done, posts, reads


def _context() -> dict[str, Any]:
    now = clock.now()
    rows = reads_.workflows(now)
    return {
        "state": service.current(),
        "active_count": sum(row.status == "active" for row in rows),
        "workflow_count": len(rows),
        "queue": queue(now),
    }


@reads
def control(request: HttpRequest) -> HttpResponse:
    """The switch as a page: what the dialog shows, for everybody without script."""
    return render(request, "orchestrator/control.html", _context())


@reads
def control_dialog(request: HttpRequest) -> HttpResponse:
    """The same as a dialog."""
    return render(request, "orchestrator/_control_dialog.html", _context())


@posts(Role.OPERATOR)
def control_change(request: HttpRequest) -> HttpResponse:
    """Turn the switch. The same position again changes nothing."""
    actor, now = audit.actor_of(request), clock.now()
    position = request.POST.get("position", "")
    reason = request.POST.get("reason", "").strip()[:200]
    if position == "paused":
        service.pause_entries(actor, now, reason)
        text = _("New entries are paused. Exits, stops and analysis go on.")
    elif position == "draining":
        service.drain(actor, now, reason)
        text = _("Draining: running work finishes, nothing new starts.")
    elif position == "stopped":
        service.stop(actor, now, reason)
        text = _("Trading is stopped. No order can be sent.")
    elif position == "flatten":
        count = exits.flatten("", actor=actor, now=now, reason=reason)
        text = ngettext(
            "Entries are paused and %(count)s position is being closed; then everything stops.",
            "Entries are paused and %(count)s positions are being closed; then everything stops.",
            count,
        ) % {"count": count}
    elif position == "running":
        _require_reason_after_stop(reason)
        service.start(actor, now, reason)
        text = _("Trading runs.")
    else:
        raise Invalid(_("Please choose what should happen."))
    return done(request, text, "pages:overview")


def _require_reason_after_stop(reason: str) -> None:
    state = service.current()
    if state.set_position.value == "stopped" and state.epoch and not reason:
        raise Invalid(_("Starting again after a stop needs a reason; it goes into the audit log."))
