"""What was gained, by heading and time; tax lots as a file."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from assets.trading import selectors
from assets.trading.selectors import tax
from tradingsite.foundation import clock
from tradingsite.foundation.errors import Invalid
from tradingsite.foundation.web import reads

RANGES: Final = {"1d": 1, "1w": 7, "1m": 30, "1y": 365, "all": 36_500}


@reads
def gains(request: HttpRequest) -> HttpResponse:
    """Realised result and fees by day, instrument, workflow, asset type or account."""
    by, span = request.GET.get("by", "day"), request.GET.get("range", "1m")
    if span not in RANGES:
        raise Invalid(_("There is nothing called %(value)s to filter by.") % {"value": span[:30]})
    now = clock.now()
    rows = tax.gains(by, now - timedelta(days=RANGES[span]), now + timedelta(seconds=1))
    headings = [
        ("day", _("Day")), ("instrument", _("Instrument")), ("workflow", _("Workflow")), ("asset_type", _("Asset type")),
        ("account", _("Account")),
    ]  # fmt: skip
    context = {
        "rows": rows[:500], "by": by, "range": span, "headings": headings, "ranges": list(RANGES),
        "heading": dict(headings)[by], "accounts": [row.name for row in selectors.accounts()], "methods": tax.METHODS,
    }  # fmt: skip
    return render(request, "trading/gains.html", context)
