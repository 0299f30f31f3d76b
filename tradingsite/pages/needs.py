"""What needs a person: open alerts, failing workflows, positions nobody watches, a system without anything to trade."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from assets.markets.selectors.pages import is_demo_feed
from assets.trading.selectors.books import AccountBook
from orchestrator.selectors.pages import WorkflowRow
from orchestrator.services import control
from tradingsite.foundation import selectors
from tradingsite.foundation.errors import Unavailable
from tradingsite.management import demo

_MOST: Final = 8
_RANK: Final = {"critical": 0, "warning": 1, "info": 2}


@dataclass(frozen=True, slots=True)
class Need:
    """Something that needs a person: what, since when, and one way on."""

    severity: str
    text: str
    since: datetime | None
    url: str
    link: str


def needs(books: tuple[AccountBook, ...], workflows: Iterable[WorkflowRow]) -> list[Need]:
    """The worst first, a handful at most."""
    found = [*_unattended(books), *_nothing_to_trade(books), *_alerts(), *_failures(workflows)]
    return sorted(found, key=lambda need: _RANK.get(need.severity, 3))[:_MOST]


def _alerts() -> Iterator[Need]:
    for row in selectors.attention(_MOST):
        if row.status == "open" and row.severity != "info":
            yield Need(row.severity, row.title, row.first_seen_at, reverse("pages:alerts"), _("Look"))


def _failures(workflows: Iterable[WorkflowRow]) -> Iterator[Need]:
    for row in workflows:
        if row.status != "halted" and not row.failures:
            continue
        text = _("%(name)s failed %(count)s times in a row") % {"name": row.name, "count": row.failures}
        if row.status == "halted":
            text = _("%(name)s is halted") % {"name": row.name}
        yield Need("warning", text, row.last_run_at, reverse("pages:workflow", args=[row.pk]), _("Look"))


def _unattended(books: tuple[AccountBook, ...]) -> Iterator[Need]:
    """Stopped means that exits and stops are not sent either: whoever stopped must know what is left open."""
    open_books = [book for book in books if book.open_rows]
    if not open_books:
        return
    try:
        state = control.current()
    except Unavailable:
        return  # the banner of every page says so already
    if state.orders_allowed:
        return
    count = sum(len(book.open_rows) for book in open_books)
    text = ngettext(
        "%(count)s open position is unattended: while everything is stopped, no stop and no exit is sent. "
        "“Pause entries” lets exits go on.",
        "%(count)s open positions are unattended: while everything is stopped, no stop and no exit is sent. "
        "“Pause entries” lets exits go on.",
        count,
    ) % {"count": count}
    severity = "critical" if any(book.mode == "live" for book in open_books) else "warning"
    yield Need(severity, text, state.changed_at, reverse("pages:control"), _("Start and stop"))


def _nothing_to_trade(books: tuple[AccountBook, ...]) -> Iterator[Need]:
    if books or not is_demo_feed() or not demo.was_removed():
        return
    text = _(
        "The demo was removed, and prices are still simulated: nothing trades. For real prices set TRADING_FEED, "
        "for example to binance, and start again."
    )
    yield Need("warning", text, None, reverse("pages:data"), _("Data"))
