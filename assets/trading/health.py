"""What the health monitor is told about trading: orders in doubt, a ledger that does not balance, halted accounts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from django.utils.translation import gettext_lazy as _

from assets.trading import invariants
from assets.trading.models import Account, Order
from assets.trading.services import rebuild
from assets.trading.states import IN_DOUBT
from orchestrator.health import checks
from orchestrator.health.findings import Finding
from tradingsite.foundation import alerts, clock
from tradingsite.foundation.invariants import one_instant

_LEDGER_EVERY_S: Final = 60.0
_DOUBT_AFTER: Final = timedelta(seconds=15)
_STUCK_AFTER: Final = timedelta(minutes=3)


class LedgerCheck:
    """The whole ledger is summed once a minute; in between the last answer stands."""

    def __init__(self) -> None:
        self._checked_at: float | None = None
        self._violations: list[str] = []

    def __call__(self, now: datetime) -> Iterator[Finding]:
        at = clock.monotonic()
        if self._checked_at is None or not 0 <= at - self._checked_at < _LEDGER_EVERY_S:
            with one_instant():
                self._violations = [*invariants.journals_balance(now), *_wrong_positions()]
            self._checked_at = at
        if self._violations:
            yield Finding(
                component="ledger", code="unbalanced", severity="critical",
                detail={"count": len(self._violations), "first": self._violations[0]},
            )  # fmt: skip


def _wrong_positions() -> list[str]:
    """Stored positions that do not follow from their fills. No venue is asked: the loop must not wait for one."""
    return [
        f"{item.symbol} is stored as {item.stored.quantity}, not {item.derived.quantity}."
        for item in rebuild.compare()
    ]


def orders_have_answers(now: datetime) -> Iterator[Finding]:
    """Orders whose fate nobody knows, and new ones that nobody sends."""
    doubt = Order.objects.filter(status__in=IN_DOUBT, created_at__lt=now - _DOUBT_AFTER).count()
    if doubt:
        yield Finding(component="orders", code="in_doubt", severity="warning", detail={"count": doubt})
    stuck = Order.objects.filter(status=Order.Status.NEW, created_at__lt=now - _STUCK_AFTER).count()
    if stuck:
        yield Finding(component="orders", code="not_sent", severity="warning", detail={"count": stuck})


def accounts_are_active(now: datetime) -> Iterator[Finding]:
    """Accounts a breaker or a person has halted."""
    for name in (
        Account.objects.filter(state=Account.State.HALTED).order_by("name").values_list("name", flat=True)
    ):
        yield Finding(component="account", subject=name, code="halted", severity="warning")


def register() -> None:
    """Called once while apps load."""
    checks.register("ledger", LedgerCheck())
    checks.register("orders", orders_have_answers)
    checks.register("accounts", accounts_are_active)
    for code, title, body in (
        ("health-ledger-unbalanced", _("The ledger does not balance"),
         _("%(count)s violations, the first: %(first)s Stop trading and run: manage.py check_invariants")),
        ("health-orders-in_doubt", _("Orders in doubt"),
         _("%(count)s orders may or may not be at their venue. New entries on their instruments wait.")),
        ("health-orders-not_sent", _("Orders were not sent"), _("%(count)s new orders are older than three minutes.")),
        ("health-account-halted", _("Account %(subject)s is halted"), _("It sends nothing until a person activates it.")),
    ):  # fmt: skip
        alerts.register_text(code, title, body)
