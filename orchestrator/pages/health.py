"""Health: processes, queue, findings and what was done about them."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from orchestrator.selectors import pages_health as reads_
from tradingsite.foundation import clock
from tradingsite.foundation.web import fragment, reads, version_of


def _version() -> str:
    health = reads_.health(clock.now())
    return version_of(reads_.version(), *((beat.name, beat.is_alive, beat.beat_at) for beat in health.beats))


def _context() -> dict[str, Any]:
    return {"health": reads_.health(clock.now()), "version": _version()}


@reads
def health(request: HttpRequest) -> HttpResponse:
    """The page; it says what is wrong before it says anything else."""
    return render(request, "orchestrator/health.html", _context())


@reads
def health_parts(request: HttpRequest) -> HttpResponse:
    """The body alone, or 204."""
    return fragment(request, "orchestrator/_health.html", _version(), _context)
