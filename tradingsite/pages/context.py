"""What the frame around every page shows. Evaluated only when a template asks for it, in a fixed number of queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext as _

from assets.markets.selectors import pages as markets
from assets.trading.selectors import pages as trading
from orchestrator.selectors.acknowledgement import CONFIRMED, Acknowledgement, acknowledgement
from orchestrator.selectors.pages import BEAT_LIMIT, BEAT_PULSE
from orchestrator.services import control
from tradingsite.foundation import clock, selectors
from tradingsite.foundation.errors import Unavailable
from tradingsite.foundation.roles import Role, role_of
from tradingsite.foundation.states_text import ROLES
from tradingsite.foundation.web import as_time, pulse, version_of
from tradingsite.pages import look, nav, product
from tradingsite.pages.nav import Group, Item

SILENT_AFTER_S = 120


@dataclass(frozen=True, slots=True)
class Banner:
    """The one thing everybody must know. `tone` bad, warn or info."""

    tone: str
    icon: str
    text: str
    reason: str = ""
    url: str = ""
    link: str = ""


class Frame:
    """Facts for header, sidebar and banner; each is read once, when first asked for."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        self.now = clock.now()

    # --- Who and where ---------------------------------------------------------------------------------------

    @cached_property
    def role(self) -> Role:
        return role_of(self._request.user)

    @cached_property
    def role_word(self) -> str:
        return str(ROLES[self.role.label])

    @cached_property
    def can(self) -> Mapping[str, bool]:
        return {
            "operate": self.role >= Role.OPERATOR,
            "trade": self.role >= Role.TRADER,
            "admin": self.role >= Role.ADMIN,
        }

    @cached_property
    def why(self) -> Mapping[str, str]:
        """Why a control is disabled, by what it needs."""
        text = _("Needs the role %(needed)s; yours is %(yours)s.")
        needs = {"operate": "operator", "trade": "trader", "admin": "admin"}
        return {key: text % {"needed": ROLES[role], "yours": self.role_word} for key, role in needs.items()}

    @cached_property
    def nav(self) -> tuple[Group, ...]:
        return nav.groups(self._request.path, may_audit=self.role >= Role.ADMIN)

    @cached_property
    def bottom(self) -> tuple[Item, ...]:
        return nav.bottom(self.nav)

    # --- Mode ------------------------------------------------------------------------------------------------

    @cached_property
    def mode(self) -> str:
        """demo while prices are simulated, live when an account may send real orders, else paper."""
        if markets.is_demo_feed():
            return "demo"
        return "live" if settings.LIVE_TRADING_ENABLED and trading.has_live_account() else "paper"

    @cached_property
    def mode_word(self) -> str:
        return {"demo": _("DEMO"), "live": _("LIVE"), "paper": _("PAPER")}[self.mode]

    @cached_property
    def mode_help(self) -> str:
        texts = {
            "demo": _("Simulated prices and simulated money. No order can reach a broker."),
            "paper": _("Real prices, simulated money. No order can reach a broker."),
            "live": _("Real money. Orders go to the broker."),
        }
        return texts[self.mode]

    # --- State -----------------------------------------------------------------------------------------------

    @cached_property
    def control(self) -> control.ControlState | None:
        try:
            return control.current()
        except Unavailable:
            return None

    @property
    def switch(self) -> str:
        return self.control.position.value if self.control else "stopped"

    @cached_property
    def heard(self) -> Acknowledgement:
        """Whether every process has heard the switch."""
        return acknowledgement(self.control, self.now) if self.control else CONFIRMED

    @property
    def switch_shown(self) -> str:
        """The switch in the word people are told: a stop nobody has confirmed yet is not "stopped"."""
        if self.switch != "stopped" or self.heard.state == "confirmed":
            return self.switch
        return "stopping" if self.heard.state == "waiting" else "unconfirmed"

    @property
    def is_stopped(self) -> bool:
        return self.control is None or self.control.set_position.value == "stopped"

    @property
    def holds(self) -> bool:
        """Whether the switch lets no run start, whatever state a workflow has."""
        return self.control is None or not self.control.starts_allowed

    @property
    def may_run(self) -> bool:
        return self.can["operate"] and not self.holds

    @property
    def why_not_run(self) -> str:
        return _("The switch lets nothing start: start trading first.") if self.holds else self.why["operate"]

    @cached_property
    def data_at(self) -> datetime | None:
        return self._pulse[0]

    @property
    def workers_alive(self) -> int:
        return int(self._pulse[3])

    @property
    def workers_expected(self) -> int:
        return int(self._pulse[4])

    @property
    def loop_heard_at(self) -> datetime | None:
        """When a decision loop was last heard of; None when none ever was."""
        return as_time(self._pulse[5])

    @cached_property
    def _pulse(self) -> tuple[Any, ...]:
        """Newest price, warnings, critical alerts, living workers, workers, the loop's last sign of life. One query."""
        at, *rest = pulse(
            *markets.newest_pulse(), *selectors.ALERT_PULSE, *BEAT_PULSE, times=[self.now - BEAT_LIMIT]
        )
        return as_time(at), *rest

    @property
    def _alerts(self) -> Mapping[str, int]:
        return {"warning": self._pulse[1], "critical": self._pulse[2]}

    @property
    def alert_count(self) -> int:
        return self._alerts["warning"] + self._alerts["critical"]

    @property
    def critical_count(self) -> int:
        return self._alerts["critical"]

    @cached_property
    def exposure(self) -> Mapping[str, int]:
        return trading.exposure_counts()

    @cached_property
    def banner(self) -> Banner | None:
        """The worst of what everybody must know; None when there is nothing."""
        return _stopped(self) or _silent(self) or _live(self) or _paused(self) or _demo(self)

    @cached_property
    def version(self) -> str:
        epoch = self.control.epoch if self.control else -1
        return version_of(
            self.switch_shown,
            epoch,
            self.heard,
            self.data_at,
            self.workers_alive,
            self.workers_expected,
            dict(self._alerts),
            self.banner,
        )

    @cached_property
    def strings(self) -> Mapping[str, Any]:
        """Words the scripts need."""
        return {
            "d": _("d"), "h": _("h"), "min": _("min"), "s": _("s"),
            "ago": _("%(duration)s ago") % {"duration": "%s"}, "in": _("in %(duration)s") % {"duration": "%s"},
            "due": _("due now"), "close": _("Close"), "refused": _("The server refused this."),
            "places": nav.places(),
        }  # fmt: skip


def _stopped(frame: Frame) -> Banner | None:
    state = frame.control
    url, link = reverse("pages:control"), _("Start and stop")
    if state is None:
        return Banner(
            "bad",
            "octagon",
            _("The switch cannot be read, so no order can be sent."),
            "",
            reverse("pages:health"),
            _("Health"),
        )
    if state.halt_file or state.halt_env:
        return Banner(
            "bad", "octagon", _("Everything is stopped by hand (halt file or variable)."), "", url, link
        )
    if state.position.value != "stopped":
        return None
    if not state.epoch:
        return Banner(
            "info",
            "info",
            _("The system has not been started yet. Nothing runs and no order can be sent."),
            "",
            url,
            link,
        )
    return Banner("bad", "octagon", _stopped_text(frame), state.reason, url, link)


def _stopped_text(frame: Frame) -> str:
    heard = frame.heard
    if heard.state == "confirmed":
        return _("Trading is stopped. No order can be sent.")
    if heard.state == "unconfirmed":
        return _(
            "Stop requested, not confirmed: no answer from %(silent)s. No order can pass the switch."
        ) % {"silent": ", ".join(heard.silent)}
    text = _(
        "Stopping: no order can be sent. Runs still ending: %(running)s. Processes yet to confirm: %(silent)s."
    )
    return text % {"running": heard.running, "silent": len(heard.silent)}


def _silent(frame: Frame) -> Banner | None:
    heard_at = frame.loop_heard_at
    if heard_at is None or (frame.now - heard_at).total_seconds() < SILENT_AFTER_S:
        return None
    text = _("The decision engine has not been heard of for more than two minutes. Nothing is being decided.")
    return Banner("bad", "warn", text, "", reverse("pages:health"), _("Health"))


def _live(frame: Frame) -> Banner | None:
    return (
        Banner("bad", "warn", _("Live trading is on: orders use real money."))
        if frame.mode == "live"
        else None
    )


def _paused(frame: Frame) -> Banner | None:
    words = {
        "paused": _("New entries are paused. Exits and stops go on."),
        "draining": _("Draining: nothing new starts."),
    }
    text = words.get(frame.switch)
    if text is None:
        return None
    reason = frame.control.reason if frame.control else ""
    return Banner("warn", "pause", text, reason, reverse("pages:control"), _("Start and stop"))


def _demo(frame: Frame) -> Banner | None:
    if frame.mode != "demo":
        return None
    return Banner(
        "warn",
        "info",
        _("Demo: simulated prices and simulated money. Demo results are never mixed with real ones."),
    )


def page(request: HttpRequest) -> dict[str, Any]:
    """Context processor: product, look and (lazily) the frame."""
    return {
        "product": product.NAME,
        "version_number": product.VERSION,
        "look": look.of(request),
        "frame": SimpleLazyObject(lambda: Frame(request)),
    }
