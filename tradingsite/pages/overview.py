"""The overview: does anything need me, what is it worth, what happened and why, what comes next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import pgettext_lazy

from assets.markets.selectors import pages as markets
from assets.trading.selectors import books
from assets.trading.selectors import pages as trading
from orchestrator import plugins
from orchestrator.selectors import pages as workflows
from orchestrator.selectors import pages_decisions as decisions
from orchestrator.selectors.pages_health import queue
from tradingsite.foundation import clock, selectors
from tradingsite.foundation.errors import Invalid
from tradingsite.foundation.web import fragment, only, pulse, reads, version_of
from tradingsite.pages import nav
from tradingsite.pages.needs import needs

RANGES: Final = (
    ("1d", pgettext_lazy("range", "1D")),
    ("1w", pgettext_lazy("range", "1W")),
    ("1m", pgettext_lazy("range", "1M")),
    ("3m", pgettext_lazy("range", "3M")),
    ("all", pgettext_lazy("range", "All")),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class AssetRow:
    """One asset type: its workflows and its account."""

    key: str
    title: str
    workflows: tuple[workflows.WorkflowRow, ...]
    book: books.AccountBook | None

    @property
    def status(self) -> str:
        states = [row.status for row in self.workflows]
        return next((state for state in ("halted", "active", "paused", "draft") if state in states), "draft")

    @property
    def next_run_at(self) -> datetime | None:
        return min(
            (row.next_run_at for row in self.workflows if row.next_run_at and row.is_open), default=None
        )

    @property
    def last_run_at(self) -> datetime | None:
        return max((row.last_run_at for row in self.workflows if row.last_run_at), default=None)

    @property
    def last_result(self) -> str:
        rows = [row for row in self.workflows if row.last_run_at]
        return max(rows, key=lambda row: row.last_run_at).last_result if rows else ""  # type: ignore[arg-type,return-value]

    @property
    def interval_s(self) -> float | None:
        return min((row.interval_s for row in self.workflows if row.interval_s), default=None)


class Facts:
    """What the parts of the page share, read once per request."""

    def __init__(self) -> None:
        self.now = clock.now()
        self.workflows = workflows.workflows(self.now, with_counts=False)
        self.books = books.all_books(self.now)

    def assets(self) -> tuple[AssetRow, ...]:
        by_type = {book.asset_type: book for book in self.books}
        return tuple(
            AssetRow(
                key=key,
                title=nav.asset_title(key),
                workflows=tuple(row for row in self.workflows if row.asset_type == key),
                book=by_type.get(key),
            )
            for key in plugins.asset_types()
        )


def _top(facts: Facts) -> dict[str, Any]:
    blocks = books.totals(facts.books)
    return {
        "needs": needs(facts.books, facts.workflows),
        "checked_at": facts.now,
        "blocks": blocks,
        "run_counts": queue(facts.now),
    }


def _version() -> str:
    """One question for the whole page: has anything it shows changed?"""
    return version_of(
        *pulse(
            *markets.MARKET_PULSE,
            *trading.TRADING_PULSE,
            *workflows.WORKFLOW_PULSE,
            *workflows.RUN_PULSE,
            *workflows.DECISION_PULSE,
            *selectors.ALERT_PULSE,
        ),
        *workflows.halts(),
    )


def _activity(rows: tuple[workflows.WorkflowRow, ...]) -> dict[str, Any]:
    newest = list(decisions.newest_by_workflow().values())
    return {"decisions": newest[:6], "upcoming": workflows.soonest(rows)}


@reads
def overview(request: HttpRequest) -> HttpResponse:
    """The page. Each part has its own version, so each refreshes on its own."""
    only(request, "range")
    span = request.GET.get("range", "1m")
    if span not in dict(RANGES):
        raise Invalid(_("There is nothing called %(value)s to filter by.") % {"value": span[:30]})
    facts = Facts()
    context = {
        **_top(facts), **_activity(facts.workflows), "assets": facts.assets(), "version": _version(),
        "range": span, "ranges": RANGES, "curve": books.drawn(facts.books),
    }  # fmt: skip
    return render(request, "pages/overview.html", context)


@reads
def top(request: HttpRequest) -> HttpResponse:
    """Attention list and key figures, or 204."""
    return fragment(request, "pages/_overview_top.html", _version(), lambda: _top(Facts()))


@reads
def assets_part(request: HttpRequest) -> HttpResponse:
    """The table of asset types, or 204."""
    return fragment(request, "pages/_overview_assets.html", _version(), lambda: {"assets": Facts().assets()})


@reads
def activity(request: HttpRequest) -> HttpResponse:
    """What each workflow decided last and what comes next, or 204."""

    def build() -> dict[str, Any]:
        return _activity(workflows.workflows(clock.now(), with_counts=False))

    return fragment(request, "pages/_overview_activity.html", _version(), build)
