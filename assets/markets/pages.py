"""Pages about instruments that need no account: the list of what can be traded."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from assets.markets.selectors import pages as reads_
from orchestrator import plugins
from tradingsite.foundation import clock
from tradingsite.foundation.errors import Invalid
from tradingsite.foundation.web import fragment, reads, version_of


def _wanted(request: HttpRequest) -> str:
    asset_type = request.GET.get("asset", "")
    if asset_type and asset_type not in plugins.asset_types():
        raise Invalid(_("There is no asset type %(value)s.") % {"value": asset_type[:30]})
    return asset_type


def _context(request: HttpRequest) -> dict[str, Any]:
    return {"rows": reads_.instruments(clock.now(), _wanted(request)), "version": _version(request)}


def _version(request: HttpRequest) -> str:
    return version_of(reads_.version(), _wanted(request))


@reads
def instruments(request: HttpRequest) -> HttpResponse:
    """Every active instrument with its newest price."""
    return render(request, "markets/instruments.html", {**_context(request), "asset_type": _wanted(request)})


@reads
def instrument_rows(request: HttpRequest) -> HttpResponse:
    """The table alone, or 204."""
    return fragment(request, "markets/_instrument_rows.html", _version(request), lambda: _context(request))
