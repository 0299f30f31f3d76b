"""Configuration and standing of workflows: create, edit, revert, pause, resume, halt, archive, ask for a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from orchestrator import plugins, states
from orchestrator.models import Workflow, WorkflowEvent, WorkflowRevision
from orchestrator.params import defaults, validate
from orchestrator.services import control, intervals
from orchestrator.services.intervals import INTERVALS
from tradingsite.foundation import alerts, audit, transitions
from tradingsite.foundation.errors import ConcurrentChange, Conflict, FieldProblem, Invalid, NotFound, Refused

_NO_TROUBLE = {
    "consecutive_failures": 0,
    "consecutive_abandoned": 0,
    "quarantined_until": None,
    "quarantine_count": 0,
    "status_reason": "",
}


def sync_from_plugins(now: datetime) -> list[Workflow]:
    """Make the default workflow (slug = type key, active) of each type that has none. Returns the new ones."""
    known = set(Workflow.objects.values_list("slug", flat=True))
    made = []
    for kind in plugins.all_types():
        if kind.key not in known:
            made += _make_default(kind, now)
    return made


def _make_default(kind: plugins.WorkflowType, now: datetime) -> list[Workflow]:
    row = Workflow(
        slug=kind.key, type_key=kind.key, asset_type=kind.asset_type, name=str(kind.title),
        status=Workflow.Status.ACTIVE,
        params=validate(kind.params, defaults(kind.params)), created_at=now, updated_at=now, **_bounds_s(kind),
    )  # fmt: skip
    with transaction.atomic():
        # Several processes start at once: the unique slug decides who makes it.
        Workflow.objects.bulk_create([row], ignore_conflicts=True)
        saved = Workflow.objects.get(slug=kind.key)
        actor = audit.system("setup")
        _revision, is_ours = WorkflowRevision.objects.get_or_create(
            workflow=saved,
            version=1,
            defaults={"config": config_of(saved), "changed_by": actor.name, "changed_at": now},
        )
        if not is_ours:
            return []
        WorkflowEvent.objects.create(
            row=saved, event="create", from_status="", to_status=saved.status, at=now
        )
        _audit("workflow.create", actor, saved, after=config_of(saved))
    return [saved]


def create(
    *,
    type_key: str,
    slug: str,
    name: str,
    actor: audit.Actor,
    now: datetime,
    params: Mapping[str, Any] | None = None,
) -> Workflow:
    """A further workflow, a draft with the type's intervals. Raises Invalid, or Conflict for a taken slug."""
    kind = _kind(type_key)
    values = validate(kind.params, {**defaults(kind.params), **(params or {})})
    if not slug or not name.strip():
        raise Invalid(_("A workflow needs a slug and a name."))
    with transaction.atomic():
        if Workflow.objects.filter(slug=slug).exists():
            raise Conflict(_("There is already a workflow %(slug)s.") % {"slug": slug}, code="slug-taken")
        row = Workflow.objects.create(
            slug=slug, type_key=type_key, asset_type=kind.asset_type, name=name.strip()[:120], params=values,
            created_at=now, updated_at=now, **_bounds_s(kind),
        )  # fmt: skip
        WorkflowEvent.objects.create(row=row, event="create", from_status="", to_status=row.status, at=now)
        _remember(row, actor, now)
        _audit("workflow.create", actor, row, after=config_of(row))
    return row


def edit(
    pk: int,
    *,
    version: int,
    actor: audit.Actor,
    now: datetime,
    name: str | None = None,
    min_interval_s: int | None = None,
    base_interval_s: int | None = None,
    max_interval_s: int | None = None,
    params: Mapping[str, Any] | None = None,
    reason: str = "",
) -> Workflow:
    """Change what is given, keep the rest; `version` is the one the editor saw.

    Raises NotFound, ConcurrentChange (a Conflict) when somebody edited in between, Invalid with one entry per field.
    """
    row = get(pk)
    kind = _kind(row.type_key)
    given = {
        "min_interval_s": min_interval_s,
        "base_interval_s": base_interval_s,
        "max_interval_s": max_interval_s,
    }
    config: dict[str, Any] = {
        "name": row.name if name is None else name.strip(),
        **{field: getattr(row, field) if value is None else value for field, value in given.items()},
        "params": {**_known_params(kind, row), **(params or {})},
    }
    return _write(
        row, kind, config, version=version, actor=actor, now=now, action="workflow.edit", reason=reason
    )


def revert(
    pk: int, version_to: int, *, version: int, actor: audit.Actor, now: datetime, reason: str = ""
) -> Workflow:
    """Give a workflow the configuration it had as `version_to`; that makes a new version. Raises as `edit` does."""
    row = get(pk)
    revision = WorkflowRevision.objects.filter(workflow=row, version=version_to).first()
    if revision is None:
        raise NotFound(_("This workflow has no version %(version)s.") % {"version": version_to})
    kind = _kind(row.type_key)
    return _write(
        row, kind, dict(revision.config), version=version, actor=actor, now=now, action="workflow.revert",
        reason=reason or f"version {version_to}",
    )  # fmt: skip


def _write(
    row: Workflow, kind: plugins.WorkflowType, config: dict[str, Any], *,
    version: int, actor: audit.Actor, now: datetime, action: str, reason: str,
) -> Workflow:  # fmt: skip
    if version != row.version:
        raise _stale(row.version, version)
    config = _validated(kind, config)
    before = config_of(row)
    if config == before:
        return row
    with transaction.atomic():
        changed = Workflow.objects.filter(pk=row.pk, version=version).update(
            **config, version=version + 1, updated_at=now
        )
        if changed != 1:
            raise _stale(None, version)
        row = get(row.pk)
        _remember(row, actor, now)
        _audit(action, actor, row, before=before, after=config, reason=reason)
    return row


def _stale(is_now: int | None, was: int) -> ConcurrentChange:
    return ConcurrentChange(
        _("Somebody changed this workflow in between: it is no longer version %(version)s.") % {"version": was},
        code="stale-version", version=is_now, given=was,
    )  # fmt: skip


def _validated(kind: plugins.WorkflowType, config: dict[str, Any]) -> dict[str, Any]:
    errors: list[FieldProblem] = []
    if not 0 < len(str(config["name"])) <= 120:
        errors.append(
            {"pointer": "#/name", "code": "length", "detail": _("The name must have 1 to 120 characters.")}
        )
    errors += intervals.problems(kind, {field: config[field] for field in INTERVALS})
    try:
        config["params"] = validate(kind.params, config["params"])
    except Invalid as e:
        errors += e.errors
    if errors:
        raise Invalid(" ".join(error["detail"] for error in errors), errors=errors)
    return config


def activate(pk: int, actor: audit.Actor, now: datetime, reason: str = "") -> Workflow:
    """Put a draft to work."""
    return _move(pk, "activate", Workflow.Status.ACTIVE, actor, now, reason)


def pause(pk: int, actor: audit.Actor, now: datetime, reason: str = "") -> Workflow:
    """Plan no further run; a running one finishes. Pausing twice changes nothing."""
    return _move(pk, "pause", Workflow.Status.PAUSED, actor, now, reason, updates={"next_run_at": None})


def resume(pk: int, actor: audit.Actor, now: datetime, reason: str = "") -> Workflow:
    """Work again after a pause, quarantine or halt, past failures forgotten. Only a person lifts a halt."""
    row = get(pk)
    if actor.kind == "system" and row.status == Workflow.Status.HALTED:
        raise Refused(_("Only a person may make a halted workflow active again."), code="needs-a-person")
    moved = _move(pk, "resume", Workflow.Status.ACTIVE, actor, now, reason, updates=_NO_TROUBLE)
    if row.quarantined_until is not None or row.consecutive_failures:
        if row.status == Workflow.Status.ACTIVE:
            Workflow.objects.filter(pk=pk).update(**_NO_TROUBLE, updated_at=now)
            _audit(
                "workflow.release",
                actor,
                row,
                before={"quarantined_until": row.quarantined_until},
                reason=reason,
            )
            moved = get(pk)
    alerts.resolve_alert(f"workflow:{pk}", now)
    return moved


def halt(pk: int, actor: audit.Actor, now: datetime, reason: str = "") -> Workflow:
    """Stop a workflow until a person resumes it: its running run may no longer act."""
    return _move(
        pk, "halt", Workflow.Status.HALTED, actor, now, reason,
        updates={"next_run_at": None, "status_reason": reason[:64], "manual_requested_at": None},
    )  # fmt: skip


def archive(pk: int, actor: audit.Actor, now: datetime, reason: str = "") -> Workflow:
    """Put a workflow away for good. It must be paused, halted or a draft."""
    return _move(pk, "archive", Workflow.Status.ARCHIVED, actor, now, reason, updates={"next_run_at": None})


def _move(
    pk: int, event: str, target: str, actor: audit.Actor, now: datetime, reason: str,
    updates: Mapping[str, Any] | None = None,
) -> Workflow:  # fmt: skip
    row = get(pk)
    if row.status == target:
        return row  # a double click
    with transaction.atomic():
        moved = transitions.apply(
            row, event, machine=states.WORKFLOW, now=now, event_model=WorkflowEvent,
            updates={**(updates or {}), "updated_at": now}, detail={"actor": actor.name, "reason": reason},
        )  # fmt: skip
        _audit(
            f"workflow.{event}",
            actor,
            moved,
            reason=reason,
            before={"status": row.status},
            after={"status": moved.status},
        )
    return moved


def set_entries_paused(pk: int, on: bool, actor: audit.Actor, now: datetime, reason: str = "") -> Workflow:
    """Forbid (or allow) new risk for one workflow; exits and stops go on."""
    row = get(pk)
    with transaction.atomic():
        changed = (
            Workflow.objects.filter(pk=pk)
            .exclude(entries_paused=on)
            .update(entries_paused=on, updated_at=now)
        )
        if changed:
            action = "workflow.pause_entries" if on else "workflow.resume_entries"
            _audit(
                action,
                actor,
                row,
                before={"entries_paused": not on},
                after={"entries_paused": on},
                reason=reason,
            )
    return get(pk)


def request_run(pk: int, actor: audit.Actor, now: datetime) -> Workflow:
    """Ask for a run as soon as the hard gates allow it. Asking again before it is planned changes nothing.

    Raises Conflict when the workflow is not active, Locked when the switch lets nothing start.
    """
    row = get(pk)
    if row.status != Workflow.Status.ACTIVE:
        raise Conflict(
            _("%(name)s is %(status)s: it plans no run.")
            % {"name": row.name, "status": row.get_status_display()}
        )
    control.require_start_allowed()
    with transaction.atomic():
        asked = Workflow.objects.filter(pk=pk, manual_requested_at=None).update(
            manual_requested_at=now, manual_requested_by=actor.name[:150]
        )
        if asked:
            _audit("workflow.request_run", actor, row, after={"manual_requested_at": now})
    return get(pk)


def get(pk: int) -> Workflow:
    """The row. Raises NotFound."""
    row = Workflow.objects.filter(pk=pk).first()
    if row is None:
        raise NotFound(_("There is no workflow %(pk)s.") % {"pk": pk})
    return row


def by_slug(slug: str) -> Workflow:
    """The row. Raises NotFound."""
    row = Workflow.objects.filter(slug=slug).first()
    if row is None:
        raise NotFound(_("There is no workflow %(slug)s.") % {"slug": slug})
    return row


def config_of(row: Workflow) -> dict[str, Any]:
    """What an edit changes and a revision keeps."""
    return {
        "name": row.name,
        **{field: getattr(row, field) for field in INTERVALS},
        "params": dict(row.params),
    }


def _kind(type_key: str) -> plugins.WorkflowType:
    try:
        return plugins.get(type_key)
    except plugins.UnknownWorkflowType as e:
        raise Invalid(
            _("No app provides the workflow type %(key)s.") % {"key": type_key}, code="unknown-type"
        ) from e


def _known_params(kind: plugins.WorkflowType, row: Workflow) -> dict[str, Any]:
    """Stored parameters the type still has: one it dropped must not block every later edit."""
    names = {param.name for param in kind.params}
    return {name: value for name, value in row.params.items() if name in names}


def _bounds_s(kind: plugins.WorkflowType) -> dict[str, int]:
    bounds = kind.bounds
    spans = (bounds.minimum, bounds.base, bounds.maximum)
    return {field: max(1, int(span.total_seconds())) for field, span in zip(INTERVALS, spans, strict=True)}


def _remember(row: Workflow, actor: audit.Actor, now: datetime) -> None:
    WorkflowRevision.objects.create(
        workflow=row, version=row.version, config=config_of(row), changed_by=actor.name[:150], changed_at=now
    )


def _audit(
    action: str, actor: audit.Actor, row: Workflow, *, before: Any = None, after: Any = None, reason: str = ""
) -> None:
    audit.record(
        action=action,
        actor=actor,
        object_type="workflow",
        object_id=row.pk,
        before=before,
        after=after,
        reason=reason,
    )


def forget_requests(pks: Sequence[int], until: datetime) -> None:
    """The requests made up to `until` are answered: a run is planned."""
    Workflow.objects.filter(pk__in=pks, manual_requested_at__lte=until).update(
        manual_requested_at=None, manual_requested_by=""
    )


def keep_only_for_replay(asset_types: Sequence[str], *, actor: audit.Actor, now: datetime) -> None:
    """Pause what has no part in a replay: other asset types, and work on the outside world."""
    kept = {"", *asset_types}
    for pk, asset_type, key in Workflow.objects.values_list("pk", "asset_type", "type_key"):
        if asset_type not in kept or not plugins.get(key).replayable:
            pause(pk, actor, now, "not part of this replay")


def pace_for_replay(bar_s: int, *, actor: audit.Actor, now: datetime) -> None:
    """Housekeeping sees nothing new before the next bar closes: its base interval is not shorter than `bar_s`, the
    length of the finest bars, within its own bounds. Nothing changes where bars are shorter than an hour.
    """
    for row in Workflow.objects.filter(status=Workflow.Status.ACTIVE, asset_type=""):
        base_s = min(row.max_interval_s, max(row.base_interval_s, bar_s))
        if base_s != row.base_interval_s:
            edit(row.pk, version=row.version, actor=actor, now=now, base_interval_s=base_s, reason="replay")
