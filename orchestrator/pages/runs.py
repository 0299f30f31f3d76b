"""Runs: list and detail."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from orchestrator.selectors import pages_runs as reads_
from orchestrator.selectors.pages import workflow_names
from tradingsite.foundation.errors import Invalid
from tradingsite.foundation.states_text import RUN
from tradingsite.foundation.web import fragment, only, page_number, reads, version_of

FILTERS = ("open", "succeeded", "failed", "skipped", "cancelled")


def _wanted(request: HttpRequest) -> tuple[int | None, str, int]:
    only(request, "workflow", "status")
    workflow = request.GET.get("workflow", "")
    status = request.GET.get("status", "")
    if workflow and not (workflow.isascii() and workflow.isdigit() and len(workflow) < 12):
        raise Invalid(_("There is no workflow %(id)s.") % {"id": workflow[:20]})
    if status and status not in FILTERS:
        raise Invalid(_("There is no state %(status)s.") % {"status": status[:20]})
    return (int(workflow) if workflow else None), status, page_number(request)


def _context(request: HttpRequest) -> dict[str, Any]:
    workflow, status, number = _wanted(request)
    page = reads_.runs(number=number, workflow_pk=workflow, status=status)
    return {
        "page": page,
        "rows": page.rows,
        "status": status,
        "workflow_pk": workflow,
        "version": _version(request),
    }


def _version(request: HttpRequest) -> str:
    return version_of(reads_.runs_version(), *_wanted(request))


@reads
def runs(request: HttpRequest) -> HttpResponse:
    """Newest runs first."""
    words = [("open", _("open")), *((name, RUN[name].word) for name in FILTERS[1:])]
    context = {**_context(request), "names": workflow_names(), "filters": words}
    return render(request, "orchestrator/runs.html", context)


@reads
def run_rows(request: HttpRequest) -> HttpResponse:
    """The table alone, or 204."""
    return fragment(request, "orchestrator/_run_rows.html", _version(request), lambda: _context(request))


@reads
def run(request: HttpRequest, pk: int) -> HttpResponse:
    """One run: steps, what they found, events."""
    return render(request, "orchestrator/run.html", {"run": reads_.run_detail(pk)})
