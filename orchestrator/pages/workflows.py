"""Workflows: list, detail, edit with preview, and the verbs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _

from orchestrator import plugins
from orchestrator.pages import forms
from orchestrator.selectors import pages as reads_
from orchestrator.selectors import pages_decisions as decisions
from orchestrator.selectors import pages_runs as runs
from orchestrator.selectors.preview import preview as preview_of
from orchestrator.services import workflows as service
from orchestrator.services.intervals import INTERVALS
from tradingsite.foundation import audit, clock
from tradingsite.foundation.errors import ConcurrentChange, Invalid
from tradingsite.foundation.roles import Role
from tradingsite.foundation.web import done, field_errors, form, fragment, posts, reads


@reads
def workflows(request: HttpRequest) -> HttpResponse:
    """All workflows, those that need somebody first."""
    return render(request, "orchestrator/workflows.html", _list_context())


def _list_context() -> dict[str, Any]:
    return {"rows": reads_.workflows(clock.now()), "version": reads_.workflows_version()}


@reads
def workflow_rows(request: HttpRequest) -> HttpResponse:
    """The table alone, or 204."""
    return fragment(request, "orchestrator/_workflow_rows.html", reads_.workflows_version(), _list_context)


@reads
def workflow(request: HttpRequest, pk: int) -> HttpResponse:
    """One workflow: state, schedule, last decisions, runs, configuration history."""
    now = clock.now()
    row = reads_.workflow(pk, now)
    context = {
        "row": row,
        "decisions": decisions.latest(6, workflow_pk=pk),
        "runs": runs.run_durations(pk),
        "recent": runs.runs(workflow_pk=pk, size=10).rows,
        "revisions": reads_.revisions(pk, names=reads_.field_labels(row.type_key)),
        "params": reads_.named_params(row),
        "version": reads_.workflows_version(),
    }
    return render(request, "orchestrator/workflow.html", context)


def _header_context(pk: int) -> dict[str, Any]:
    return {"row": reads_.workflow(pk, clock.now())}


@reads
def workflow_header(request: HttpRequest, pk: int) -> HttpResponse:
    """State and schedule alone, or 204."""
    return fragment(
        request, "orchestrator/_workflow_header.html", reads_.workflows_version(), lambda: _header_context(pk)
    )


@form(Role.OPERATOR)
def workflow_edit(request: HttpRequest, pk: int) -> HttpResponse:
    """The form. Wrong input: 422 with everything kept. Somebody was faster: 409 with the difference."""
    row = reads_.workflow(pk, clock.now())
    if request.method != "POST":
        return render(request, "orchestrator/workflow_edit.html", _form_context(row, {}, {}))
    posted = {key: str(value) for key, value in request.POST.items()}
    try:
        _save(request, row, posted)
    except ConcurrentChange:
        return _conflict(request, row, posted)
    except Invalid as error:
        context = _form_context(row, posted, field_errors(error), "" if error.errors else error.message)
        return render(request, "orchestrator/workflow_edit.html", context, status=422)
    return done(request, _("%(name)s is saved.") % {"name": row.name}, reverse("pages:workflow", args=[pk]))


def _save(request: HttpRequest, row: reads_.WorkflowRow, posted: Mapping[str, str]) -> None:
    values = forms.read(row, posted)
    service.edit(
        row.pk,
        version=_version(posted),
        name=None if values.name == row.name else values.name,
        params=values.params,
        actor=audit.actor_of(request),
        now=clock.now(),
        min_interval_s=values.intervals["min_interval_s"],
        base_interval_s=values.intervals["base_interval_s"],
        max_interval_s=values.intervals["max_interval_s"],
    )


def _version(posted: Mapping[str, str]) -> int:
    text = posted.get("version", "")
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        raise Invalid(_("The form does not say which version it changes. Please open it again."))
    return int(text)


def _form_context(
    row: reads_.WorkflowRow, posted: Mapping[str, str], errors: Mapping[str, str], general: str = ""
) -> dict[str, Any]:
    intervals = forms.interval_fields(row, posted, errors)
    params = forms.param_fields(row, posted, errors)
    name = forms.Field("name", _("Name"), "text", posted.get("name", row.name), error=errors.get("name", ""))
    fields = [name, *intervals, *params]
    problems = [
        {"id": field.id, "label": field.label, "text": field.error} for field in fields if field.error
    ]
    known = {field.name for field in fields}
    rest = " ".join(text for key, text in errors.items() if key not in known)
    return {
        "row": row,
        "name": name,
        "intervals": intervals,
        "params": params,
        "problems": problems,
        "general": general or rest,
        "form_version": posted.get("version", row.version),
        "preview": _preview(row, posted),
    }


def _conflict(request: HttpRequest, row: reads_.WorkflowRow, posted: Mapping[str, str]) -> HttpResponse:
    """Yours, theirs, and the form with yours on top of the newest version: nothing typed is lost."""
    fresh = reads_.workflow(row.pk, clock.now())
    yours = forms.read(fresh, posted)
    mine = {"name": yours.name, **yours.intervals, "params": yours.params}
    theirs = service.config_of(service.get(row.pk))
    context = _form_context(fresh, {**posted, "version": str(fresh.version)}, {})
    context["conflict"] = reads_.differences(theirs, mine, reads_.field_labels(row.type_key))
    return render(request, "orchestrator/workflow_edit.html", context, status=409)


@form(Role.OPERATOR)
def workflow_preview(request: HttpRequest, pk: int) -> HttpResponse:
    """What the values on the form would do with today's market. Stores nothing."""
    row = reads_.workflow(pk, clock.now())
    posted = {key: str(value) for key, value in request.POST.items()}
    return render(request, "orchestrator/_preview.html", {"preview": _preview(row, posted)})


def _preview(row: reads_.WorkflowRow, posted: Mapping[str, str]) -> Any:
    """The preview, or the sentence that says why there is none."""
    try:
        if posted:
            values = forms.read(row, posted)
            spans, params = values.intervals, values.params
        else:
            spans = {"min_interval_s": row.min_s, "base_interval_s": row.base_s, "max_interval_s": row.max_s}
            params = dict(row.params)
        low, base, high = (spans[name] for name in INTERVALS)
        if not 0 < low <= base <= high:
            return {"problem": _("The intervals must be in order: shortest, base, longest.")}
        return preview_of(row, min_s=low, base_s=base, max_s=high, params=params, now=clock.now())
    except Invalid as error:
        return {"problem": error.message}
    except plugins.UnknownWorkflowType:
        return {"problem": _("The app of this workflow is not installed.")}


@posts(Role.OPERATOR)
def workflow_revert(request: HttpRequest, pk: int) -> HttpResponse:
    """Back to an earlier configuration, as a new version."""
    row = reads_.workflow(pk, clock.now())
    wanted = _version({"version": request.POST.get("to", "")})
    service.revert(pk, wanted, version=row.version, actor=audit.actor_of(request), now=clock.now())
    text = _("%(name)s has the configuration of version %(version)s again.") % {
        "name": row.name,
        "version": wanted,
    }
    return done(request, text, reverse("pages:workflow", args=[pk]))


@posts(Role.OPERATOR)
def workflow_act(request: HttpRequest, number: str, verb: str) -> HttpResponse:
    """Pause, resume, halt, run now, entries on and off. Doing it twice changes nothing."""
    actor, now, pk = audit.actor_of(request), clock.now(), int(number)
    row = reads_.workflow(pk, now)
    facts = {"name": row.name}
    if verb == "pause":
        service.pause(pk, actor, now)
        text = _("%(name)s is paused: no run is planned.") % facts
    elif verb == "resume":
        service.resume(pk, actor, now)
        text = _("%(name)s runs again.") % facts
    elif verb == "activate":
        service.activate(pk, actor, now)
        text = _("%(name)s runs now.") % facts
    elif verb == "halt":
        service.halt(pk, actor, now, reason="by hand")
        text = _("%(name)s is halted. Only a person can start it again.") % facts
    elif verb == "run-now":
        service.request_run(pk, actor, now)
        text = _("%(name)s will run as soon as its hard rules allow it.") % facts
    else:
        service.set_entries_paused(pk, verb == "pause-entries", actor, now)
        text = (
            _("%(name)s opens no new position.") % facts
            if verb == "pause-entries"
            else _("%(name)s may open positions again.") % facts
        )
    return done(request, text, reverse("pages:workflow", args=[pk]))


@reads
def by_slug(request: HttpRequest, slug: str) -> HttpResponse:
    """The address people remember leads to the one that stays."""
    return redirect("pages:workflow", pk=service.by_slug(slug).pk)
