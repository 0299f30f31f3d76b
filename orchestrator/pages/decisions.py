"""The decision timeline: why something ran, and why it did not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext as _

from orchestrator import plugins
from orchestrator.engine.types import Cause
from orchestrator.selectors import pages as workflows
from orchestrator.selectors import pages_decisions as reads_
from orchestrator.selectors.words import cause_word
from tradingsite.foundation import clock
from tradingsite.foundation.errors import Invalid
from tradingsite.foundation.states_text import ACTION
from tradingsite.foundation.web import csv_of, fragment, only, page_number, reads, version_of

RANGES: Final = {"day": timedelta(days=1), "week": timedelta(days=7), "month": timedelta(days=30)}


def _filter(request: HttpRequest) -> reads_.Filter:
    only(request, "workflow", "action", "cause", "range", "asset", "skips")
    get = request.GET.get
    workflow, action, cause, span = get("workflow", ""), get("action", ""), get("cause", ""), get("range", "")
    asset_type = get("asset", "")
    bad = [
        value
        for value, known in (
            (action, ACTION),
            (cause, {item.value for item in Cause}),
            (span, RANGES),
            (asset_type, plugins.asset_types()),
            (get("skips", ""), ("all", "group")),
        )
        if value and value not in known
    ]
    if workflow and not (workflow.isascii() and workflow.isdigit() and len(workflow) < 12):
        bad.append(workflow)
    if bad:
        raise Invalid(_("There is nothing called %(value)s to filter by.") % {"value": bad[0][:30]})
    return reads_.Filter(
        workflow_pk=int(workflow) if workflow else None,
        asset_type=asset_type,
        action=action,
        cause=cause,
        since=clock.now() - RANGES[span] if span else None,
        group_skips=get("skips", "") != "all",
    )


def _context(request: HttpRequest) -> dict[str, Any]:
    wanted = _filter(request)
    number = page_number(request)
    page = reads_.timeline(wanted, number)
    return {"page": page, "rows": page.rows, "wanted": wanted, "version": _version(request)}


def _version(request: HttpRequest) -> str:
    wanted = _filter(request)
    return version_of(reads_.version(wanted), page_number(request), wanted.group_skips)


@reads
def decisions(request: HttpRequest) -> HttpResponse:
    """The timeline with filters and what comes next."""
    context = {
        **_context(request),
        "upcoming": workflows.upcoming(5),
        "names": workflows.workflow_names(),
        "actions": [(key, state.word) for key, state in ACTION.items()],
        "causes": [(cause.value, cause_word(cause.value)) for cause in Cause],
        "ranges": [("day", _("Last 24 hours")), ("week", _("Last 7 days")), ("month", _("Last 30 days"))],
        "chosen": {
            key: request.GET.get(key, "") for key in ("workflow", "action", "cause", "range", "skips")
        },
    }
    return render(request, "orchestrator/decisions.html", context)


_COLUMNS: Final = (
    "id", "decided_at", "last_seen_at", "equal_checks", "workflow", "asset_type", "action", "cause", "sentence",
    "interval_before_s", "interval_after_s", "next_run_at", "gates", "run_id", "run_status",
)  # fmt: skip


@reads
def decisions_csv(request: HttpRequest) -> HttpResponseBase:
    """Every decision of the page's filter as a file."""
    rows = (
        (
            row.pk, row.at, row.last_at, row.count, row.workflow_name, row.asset_type, row.action, row.cause, row.sentence,
            row.interval_before_s, row.interval_after_s, row.next_run_at, " ".join(row.gates), row.run_pk, row.run_status,
        )
        for row in reads_.every(_filter(request))
    )  # fmt: skip
    return csv_of("decisions.csv", _COLUMNS, rows)


@reads
def decision_rows(request: HttpRequest) -> HttpResponse:
    """The rows alone, or 204."""
    return fragment(request, "orchestrator/_decision_rows.html", _version(request), lambda: _context(request))


@reads
def decision(request: HttpRequest, pk: int) -> HttpResponse:
    """One decision: factors, gates, counterfactuals, inputs, outcome."""
    return render(request, "orchestrator/decision.html", {"detail": reads_.detail(pk)})
