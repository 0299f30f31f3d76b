"""Positions, orders, trades and the chart of one instrument. Nothing here changes anything."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from assets.markets.selectors import pages as markets
from assets.trading.selectors import books, curves, stops, venues
from assets.trading.selectors import pages as reads_
from orchestrator.selectors import pages_decisions as decisions
from tradingsite.foundation import clock
from tradingsite.foundation.errors import Invalid
from tradingsite.foundation.web import fragment, only, page_number, pulse, reads, version_of

SCOPES: Final = ("active", "done", "trouble")


@reads
def positions(request: HttpRequest) -> HttpResponse:
    """Open positions, valued now."""
    return render(request, "trading/positions.html", _positions())


def _positions() -> dict[str, Any]:
    found, kept = books.all_books(clock.now()), stops.open_stops()
    return {
        "books": found,
        "totals": books.totals(found),
        "rows": [
            (book, row, kept.get((row.account_id, row.instrument_id)))
            for book in found
            for row in book.open_rows
        ],
        "open_discrepancies": venues.open_count(),
        "version": _position_version(),
    }


def _position_version() -> str:
    open_ = "SELECT COUNT(*) FROM trading_discrepancy WHERE status = 'open'"
    return version_of(*pulse(*reads_.TRADING_PULSE, *markets.MARKET_PULSE, open_))


@reads
def position_rows(request: HttpRequest) -> HttpResponse:
    """The table alone, or 204."""
    return fragment(request, "trading/_position_rows.html", _position_version(), _positions)


def order_filter(request: HttpRequest) -> tuple[int, str, int | None]:
    """Page, scope and run of the address. Raises Invalid."""
    only(request, "scope", "run")
    scope, run = request.GET.get("scope", ""), request.GET.get("run", "")
    if scope and scope not in SCOPES:
        raise Invalid(_("There is nothing called %(value)s to filter by.") % {"value": scope[:30]})
    if run and not (run.isascii() and run.isdigit() and len(run) < 18):
        raise Invalid(_("There is no run %(id)s.") % {"id": run[:20]})
    return page_number(request), scope, int(run) if run else None


def _orders(request: HttpRequest) -> dict[str, Any]:
    number, scope, run = order_filter(request)
    page = reads_.orders(number=number, scope=scope, run_pk=run)
    return {
        "page": page,
        "rows": page.rows,
        "scope": scope,
        "run_pk": run,
        "version": _order_version(request),
    }


def _order_version(request: HttpRequest) -> str:
    return version_of(reads_.version(), *order_filter(request))


@reads
def orders(request: HttpRequest) -> HttpResponse:
    """Orders, newest first."""
    words = [("active", _("Working")), ("done", _("Finished")), ("trouble", _("Denied, rejected, unknown"))]
    return render(request, "trading/orders.html", {**_orders(request), "scopes": words})


@reads
def order_rows(request: HttpRequest) -> HttpResponse:
    """The table alone, or 204."""
    return fragment(request, "trading/_order_rows.html", _order_version(request), lambda: _orders(request))


@reads
def order(request: HttpRequest, pk: int) -> HttpResponse:
    """One order: why, how much, what happened."""
    return render(request, "trading/order.html", {"order": reads_.order_detail(pk)})


def _trades(request: HttpRequest) -> dict[str, Any]:
    only(request)
    page = reads_.fills(number=page_number(request))
    return {"page": page, "rows": page.rows, "version": version_of(reads_.version(), page.number)}


@reads
def trades(request: HttpRequest) -> HttpResponse:
    """Executions, newest first."""
    return render(request, "trading/trades.html", _trades(request))


@reads
def trade_rows(request: HttpRequest) -> HttpResponse:
    """The table alone, or 204."""
    version = version_of(reads_.version(), page_number(request))
    return fragment(request, "trading/_trade_rows.html", version, lambda: _trades(request))


@reads
def instrument(request: HttpRequest, pk: int) -> HttpResponse:
    """The chart of one instrument with position, trades and decisions; a table where there is no script."""
    now = clock.now()
    row, timeframe, columns = markets.instrument_with_chart(pk, request.GET.get("tf", ""), now)
    context = {
        "row": row,
        "timeframe": timeframe,
        "offered": markets.offered(row),
        "timeframes": markets.CHART_TIMEFRAMES,
        "summary": markets.summary(columns),
        "hours": markets.hours(row.calendar, now),
        "position": reads_.held(pk, row.last),
        "fills": reads_.fills(instrument_pk=pk, size=8).rows,
        "decisions": decisions.latest(4, asset_type=row.asset_type),
        "chart_strings": _chart_strings(),
        "version": markets.version(),
    }
    return render(request, "trading/instrument.html", context)


def _chart_strings() -> dict[str, str]:
    return {
        "open": pgettext("chart", "O"), "high": pgettext("chart", "H"), "low": pgettext("chart", "L"),
        "close": pgettext("chart", "C"), "volume": pgettext("chart", "Vol"),
        "entry": pgettext("chart", "entry"), "stop": pgettext("chart", "stop"),
        "warning": pgettext("chart", "warning"),
        "buy": pgettext("chart", "B"), "sell": pgettext("chart", "S"),
        "failed": _("The chart could not be loaded. The table below shows the same bars."),
        "empty": _("No candles are stored for this timeframe yet."),
    }  # fmt: skip


@reads
def instrument_quote(request: HttpRequest, pk: int) -> HttpResponse:
    """The price line of the chart page, or 204."""
    now = clock.now()

    def build() -> dict[str, Any]:
        row = markets.instrument(pk, now)
        return {"row": row, "hours": markets.hours(row.calendar, now)}

    return fragment(request, "trading/_quote.html", markets.version(), build)


@reads
def instrument_data(request: HttpRequest, pk: int) -> HttpResponse:
    """Bars, indicators and marks as JSON for the chart, with an ETag."""
    now = clock.now()
    row = markets.instrument(pk, now)
    timeframe = markets.timeframe_or_default(row, request.GET.get("tf", ""))
    limit = _whole(request, "limit", markets.DEFAULT_BARS, markets.MOST_BARS)
    before = _whole(request, "before", 0, 2**33) or None
    columns = markets.chart(row, timeframe, now, limit=limit, before=before)
    since = datetime.fromtimestamp(columns["ts"][0], UTC) if columns["ts"] else now - timedelta(days=1)
    columns["fills"] = reads_.marks(pk, since)
    columns["decisions"] = decisions.marks(row.asset_type, since)
    held = reads_.held(pk, None)
    columns["position"] = None if held is None else _lines(held)
    columns["tick"] = str(row.tick_size)
    body = json.dumps(columns, separators=(",", ":"), allow_nan=False)
    return _with_etag(request, body)


def _lines(held: reads_.HeldRow) -> dict[str, Any]:
    """Where the position was entered and where it is given up, as text: the drawing may round."""
    return {
        "entry": str(held.average_price),
        "stop": None if held.stop is None else str(held.stop.level),
        "acts": held.stop is not None and held.stop.acts,
    }


def _with_etag(request: HttpRequest, body: str) -> HttpResponse:
    etag = f'"{hashlib.sha256(body.encode()).hexdigest()[:24]}"'
    if request.headers.get("If-None-Match") == etag:
        response = HttpResponse(status=304)
    else:
        response = HttpResponse(body, content_type="application/json")
    response.headers["ETag"] = etag
    response.headers["Cache-Control"] = "private, no-cache"
    return response


def _whole(request: HttpRequest, name: str, default: int, most: int) -> int:
    text = request.GET.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit()) or len(text) > 12 or int(text) > most:
        raise Invalid(_("%(name)s must be a whole number up to %(most)s.") % {"name": name, "most": most})
    return int(text)


@reads
def equity_data(request: HttpRequest) -> JsonResponse | HttpResponse:
    """The equity curve as JSON. Values are text: they are money; the drawing may round, the page does not."""
    span, asset_type = request.GET.get("range", "1m"), request.GET.get("asset", "")
    if span not in curves.RANGES:
        raise Invalid(_("There is nothing called %(value)s to filter by.") % {"value": span[:30]})
    curve = curves.equity_curve(clock.now(), curves.RANGES[span], asset_type)
    body = json.dumps(
        {
            "currency": curve.currency,
            "accounts": curve.accounts,
            "ts": [int(at.timestamp()) for at in curve.at],
            "equity": [str(value) for value in curve.equity],
        },
        separators=(",", ":"),
    )
    return _with_etag(request, body)
