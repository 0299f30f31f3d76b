"""Health: processes, queue, findings and what was done about them."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from orchestrator.selectors import pages_health as reads_
from tradingsite.foundation import clock
from tradingsite.foundation.web import fragment, reads


def _context() -> dict[str, Any]:
    return {"health": reads_.health(clock.now()), "version": reads_.version()}


@reads
def health(request: HttpRequest) -> HttpResponse:
    """The page; it says what is wrong before it says anything else."""
    return render(request, "orchestrator/health.html", _context())


@reads
def health_parts(request: HttpRequest) -> HttpResponse:
    """The body alone, or 204."""
    return fragment(request, "orchestrator/_health.html", reads_.version(), _context)
