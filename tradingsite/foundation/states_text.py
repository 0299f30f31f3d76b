"""The vocabulary of states: one word, one shape and one tone each, the same on every page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


@dataclass(frozen=True, slots=True)
class State:
    """`tone` is ok, busy, warn, bad or quiet; skipped and closed are quiet, never bad."""

    word: Any
    icon: str
    tone: str


UNKNOWN: Final = State(_("unknown"), "question", "warn")

WORKFLOW: Final = {
    "draft": State(_("draft"), "ring", "quiet"),
    "active": State(_("running"), "play", "ok"),
    "held": State(_("held by the switch"), "stop", "warn"),  # active, but the switch lets nothing start
    "paused": State(_("paused"), "pause", "warn"),
    "halted": State(_("halted"), "octagon", "bad"),
    "archived": State(_("archived"), "dash", "quiet"),
}
RUN: Final = {
    "planned": State(_("planned"), "ring", "quiet"),
    "queued": State(_("queued"), "clock", "busy"),
    "running": State(_("running"), "play", "busy"),
    "succeeded": State(_("succeeded"), "check", "ok"),
    "failed": State(_("failed"), "cross", "bad"),
    "timed_out": State(_("timed out"), "clock", "bad"),
    "abandoned": State(_("abandoned"), "warn", "bad"),
    "skipped": State(_("skipped"), "dash", "quiet"),
    "cancelled": State(_("cancelled"), "dash", "quiet"),
}
ORDER: Final = {
    "new": State(_("new"), "ring", "quiet"),
    "denied": State(_("denied"), "shield", "quiet"),
    "sending": State(_("sending"), "clock", "busy"),
    "accepted": State(_("accepted"), "half", "busy"),
    "partially_filled": State(_("partially filled"), "half", "busy"),
    "filled": State(_("filled"), "check", "ok"),
    "cancel_pending": State(_("cancel pending"), "clock", "busy"),
    "cancelled": State(_("cancelled"), "dash", "quiet"),
    "rejected": State(_("rejected"), "cross", "bad"),
    "expired": State(_("expired"), "dash", "quiet"),
    "unknown": State(_("unknown"), "question", "warn"),
}
FRESHNESS: Final = {
    "fresh": State(pgettext_lazy("data", "fresh"), "dot", "ok"),
    "late": State(pgettext_lazy("data", "late"), "clock", "warn"),
    "stale": State(pgettext_lazy("data", "stale"), "warn", "bad"),
    "missing": State(pgettext_lazy("data", "missing"), "ring", "quiet"),
    "closed": State(pgettext_lazy("market", "closed"), "moon", "quiet"),
}
SEVERITY: Final = {
    "info": State(_("information"), "info", "busy"),
    "warning": State(_("warning"), "warn", "warn"),
    "critical": State(_("critical"), "octagon", "bad"),
}
ALERT: Final = {
    "open": State(pgettext_lazy("alert", "open"), "dot", "warn"),
    "acknowledged": State(_("acknowledged"), "check", "quiet"),
    "resolved": State(_("resolved"), "check", "ok"),
}
DELIVERY: Final = {
    "waiting": State(pgettext_lazy("message", "waiting"), "clock", "busy"),
    "sent": State(pgettext_lazy("message", "sent"), "check", "ok"),
    "failed": State(pgettext_lazy("message", "failed"), "cross", "bad"),
    "skipped": State(pgettext_lazy("message", "skipped"), "dash", "quiet"),
}
SWITCH: Final = {
    "running": State(_("Running"), "play", "ok"),
    "paused": State(_("Entries paused"), "pause", "warn"),
    "draining": State(_("Draining"), "clock", "warn"),
    "stopping": State(_("Stopping"), "clock", "bad"),
    "unconfirmed": State(_("Stop not confirmed"), "warn", "bad"),
    "stopped": State(_("Stopped"), "stop", "bad"),
}
ACTION: Final = {
    "run": State(pgettext_lazy("decision", "run"), "play", "ok"),
    "wait": State(pgettext_lazy("decision", "wait"), "clock", "busy"),
    "skip": State(pgettext_lazy("decision", "skip"), "dash", "quiet"),
}
COMPONENT: Final = {
    "ok": State(_("healthy"), "check", "ok"),
    "warning": State(_("degraded"), "warn", "warn"),
    "critical": State(_("failing"), "octagon", "bad"),
    "missing": State(pgettext_lazy("process", "missing"), "cross", "bad"),
    "off": State(_("off"), "ring", "quiet"),
}
SIDE: Final = {
    "buy": State(_("buy"), "up", "buy"),
    "sell": State(_("sell"), "down", "sell"),
}

KINDS: Final[dict[str, dict[str, State]]] = {
    "workflow": WORKFLOW,
    "run": RUN,
    "step": RUN,
    "order": ORDER,
    "freshness": FRESHNESS,
    "severity": SEVERITY,
    "alert": ALERT,
    "delivery": DELIVERY,
    "switch": SWITCH,
    "action": ACTION,
    "component": COMPONENT,
    "side": SIDE,
}


def find(kind: str, value: object) -> State:
    """The state's word, shape and tone; a value we do not know is shown as unknown, never hidden."""
    return KINDS[kind].get(str(value), UNKNOWN)


ROLES: Final[dict[str, Any]] = {
    "none": _("nobody"),
    "viewer": _("Viewer"),
    "operator": _("Operator"),
    "trader": _("Trader"),
    "admin": _("Administrator"),
}
