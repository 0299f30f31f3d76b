"""The parts of the frame that refresh themselves."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from tradingsite.foundation.web import fragment, reads
from tradingsite.pages.context import Frame


@reads
def status(request: HttpRequest) -> HttpResponse:
    """Header, bell, switch button and banner in one answer, or 204."""
    frame = Frame(request)
    return fragment(request, "frame/status_oob.html", frame.version, lambda: {"frame": frame})
