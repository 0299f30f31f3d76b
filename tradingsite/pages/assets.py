"""One page per installed asset type, all with the same skeleton. Tabs are links."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from assets.markets.selectors import pages as markets
from assets.trading.selectors import books
from assets.trading.selectors import pages as trading
from orchestrator import plugins
from orchestrator.selectors import pages as workflows
from orchestrator.selectors import pages_decisions as decisions
from orchestrator.selectors import pages_runs as runs
from tradingsite.foundation import clock
from tradingsite.foundation.errors import Invalid, NotFound
from tradingsite.foundation.web import fragment, pulse, reads, version_of
from tradingsite.pages import nav

TABS: Final = ("summary", "instruments", "positions", "runs", "settings")


def _known(asset_type: str) -> str:
    if asset_type not in plugins.asset_types():
        raise NotFound(_("There is no asset type %(value)s.") % {"value": asset_type[:30]})
    return asset_type


def _header(asset_type: str, now: datetime, known: Any = None) -> dict[str, Any]:
    rows = workflows.workflows(now, asset_type=asset_type, with_counts=False)
    found = books.all_books(now, asset_type, known)
    newest = decisions.newest_by_workflow(asset_type)
    return {
        "asset_type": asset_type,
        "rows": [(row, newest.get(row.pk)) for row in rows],
        "book": found[0] if found else None,
        "curve": books.drawn(found),
    }


def _version() -> str:
    return version_of(
        *pulse(
            *markets.MARKET_PULSE,
            *trading.TRADING_PULSE,
            *workflows.WORKFLOW_PULSE,
            *workflows.RUN_PULSE,
            *workflows.DECISION_PULSE,
        ),
        *workflows.halts(),
    )


@reads
def header(request: HttpRequest, asset_type: str) -> HttpResponse:
    """State, figures and the last decision, or 204."""
    key = _known(asset_type)
    return fragment(request, "pages/_asset_header.html", _version(), lambda: _header(key, clock.now()))


@reads
def asset(request: HttpRequest, asset_type: str) -> HttpResponse:
    """The page; `tab` says which part."""
    key, tab = _known(asset_type), request.GET.get("tab", "summary")
    if tab not in TABS:
        raise Invalid(_("There is nothing called %(value)s to filter by.") % {"value": tab[:30]})
    now = clock.now()
    instruments: tuple[markets.InstrumentRow, ...] = ()
    known = None
    if tab in ("summary", "instruments"):
        instruments, known = markets.instruments_and_prices(now, key)
    context = {**_header(key, now, known), "version": _version(), "instruments": instruments, "now": now}
    words = {
        "summary": _("Summary"), "instruments": _("Instruments"), "positions": _("Positions"),
        "runs": _("Runs"), "settings": _("Settings"),
    }  # fmt: skip
    context |= {"title": nav.asset_title(key), "tab": tab, "tabs": words.items(), **_PARTS[tab](key, context)}
    return render(request, "pages/asset.html", context)


def _summary(key: str, context: dict[str, Any]) -> dict[str, Any]:
    rows = context["instruments"]
    return {
        "decisions": decisions.latest(5, asset_type=key),
        "hours": markets.hours(rows[0].calendar, context["now"]) if rows else None,
    }


def _instruments(key: str, context: dict[str, Any]) -> dict[str, Any]:
    return {}


def _positions(key: str, context: dict[str, Any]) -> dict[str, Any]:
    book = context["book"]
    return {
        "positions": [(book, row) for row in book.open_rows] if book else [],
        "orders": trading.orders(asset_type=key, size=10).rows,
        "fills": trading.fills(asset_type=key, size=10).rows,
    }


def _runs(key: str, context: dict[str, Any]) -> dict[str, Any]:
    rows = context["rows"]
    pk = rows[0][0].pk if rows else 0
    return {
        "runs": runs.run_durations(pk),
        "recent": runs.runs(workflow_pk=pk, size=20).rows,
        "first_pk": pk,
    }


def _settings(key: str, context: dict[str, Any]) -> dict[str, Any]:
    return {"settings": [(row, workflows.named_params(row)) for row, _newest in context["rows"]]}


_PARTS: Final = {
    "summary": _summary,
    "instruments": _instruments,
    "positions": _positions,
    "runs": _runs,
    "settings": _settings,
}
