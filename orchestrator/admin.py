"""Administration: everything can be looked at, nothing that the services guard can be changed here."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django_q.models import Failure, OrmQ, Schedule, Success

from orchestrator.models import (
    ControlSwitch,
    Decision,
    HealthEvent,
    Lease,
    ProcessBeat,
    Run,
    RunEvent,
    RunStep,
    Workflow,
    WorkflowEvent,
    WorkflowRevision,
)
from orchestrator.services import runs, workflows
from tradingsite.foundation import audit, clock
from tradingsite.foundation.errors import DomainError
from tradingsite.foundation.roles import Role, role_of


class ReadOnly(admin.ModelAdmin[Any]):
    """No add, no change, no delete: rows are written by services only."""

    show_full_result_count = False
    list_per_page = 50
    actions: Any = ()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnlyInline(admin.TabularInline[Any, Any]):
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class RevisionInline(ReadOnlyInline):
    model = WorkflowRevision
    fields = ("version", "changed_by", "changed_at", "config")


class StepInline(ReadOnlyInline):
    model = RunStep
    fields = ("position", "name", "status", "started_at", "finished_at", "changed", "summary", "error")


class EventInline(ReadOnlyInline):
    model = RunEvent
    fields = ("at", "event", "from_status", "to_status", "epoch", "detail")


@admin.register(Workflow)
class WorkflowAdmin(ReadOnly):
    list_display = (
        "slug",
        "asset_type",
        "status",
        "entries_paused",
        "next_run_at",
        "last_result",
        "quarantined_until",
    )
    list_filter = ("status", "asset_type", "type_key", "last_result")
    search_fields = ("slug", "name")
    inlines = (RevisionInline,)
    actions = ("pause", "resume", "ask_for_a_run")

    @admin.action(description=_("Pause the selected workflows"))
    def pause(self, request: HttpRequest, rows: QuerySet[Workflow]) -> None:
        self._each(request, rows, workflows.pause)

    @admin.action(description=_("Resume the selected workflows"))
    def resume(self, request: HttpRequest, rows: QuerySet[Workflow]) -> None:
        self._each(request, rows, workflows.resume)

    @admin.action(description=_("Ask for a run of the selected workflows"))
    def ask_for_a_run(self, request: HttpRequest, rows: QuerySet[Workflow]) -> None:
        self._each(request, rows, workflows.request_run)

    def _each(self, request: HttpRequest, rows: QuerySet[Workflow], service: Any) -> None:
        """The same service, the same role and the same audit row as on the pages."""
        if role_of(request.user) < Role.OPERATOR:
            self.message_user(request, _("Your role does not allow this."), messages.ERROR)
            return
        done = 0
        for row in rows:
            try:
                service(row.pk, audit.actor_of(request), clock.now())
                done += 1
            except DomainError as e:
                self.message_user(request, f"{row.slug}: {e.message}", messages.ERROR)
        self.message_user(request, _("%(count)d done.") % {"count": done})


@admin.register(Run)
class RunAdmin(ReadOnly):
    list_display = (
        "id",
        "workflow",
        "slot_at",
        "status",
        "cause",
        "lane",
        "started_at",
        "finished_at",
        "error_code",
    )
    list_filter = ("status", "lane", "cause")
    list_select_related = ("workflow",)
    search_fields = ("workflow__slug", "error_code", "worker")
    date_hierarchy = "slot_at"
    inlines = (StepInline, EventInline)
    actions = ("cancel",)

    @admin.action(description=_("Cancel the selected runs"))
    def cancel(self, request: HttpRequest, rows: QuerySet[Run]) -> None:
        if role_of(request.user) < Role.OPERATOR:
            self.message_user(request, _("Your role does not allow this."), messages.ERROR)
            return
        for row in rows:
            try:
                runs.cancel(row.pk, audit.actor_of(request), clock.now(), "administration")
            except DomainError as e:
                self.message_user(request, f"{row.pk}: {e.message}", messages.ERROR)


@admin.register(Decision)
class DecisionAdmin(ReadOnly):
    list_display = (
        "id",
        "workflow",
        "decided_at",
        "action",
        "cause",
        "interval_after_s",
        "next_run_at",
        "fold_count",
    )
    list_filter = ("action", "cause", "rule_version")
    list_select_related = ("workflow",)
    search_fields = ("workflow__slug",)
    date_hierarchy = "decided_at"


@admin.register(HealthEvent)
class HealthEventAdmin(ReadOnly):
    list_display = (
        "component",
        "subject",
        "code",
        "severity",
        "opened_at",
        "closed_at",
        "remedy",
        "remedy_count",
    )
    list_filter = ("component", "severity", "code")
    search_fields = ("subject", "code")
    date_hierarchy = "opened_at"


@admin.register(WorkflowEvent)
class WorkflowEventAdmin(ReadOnly):
    list_display = ("row", "event", "from_status", "to_status", "at")
    list_filter = ("event",)
    list_select_related = ("row",)


@admin.register(ControlSwitch)
class ControlSwitchAdmin(ReadOnly):
    list_display = ("position", "epoch", "reason", "changed_by", "changed_at")


@admin.register(Lease)
class LeaseAdmin(ReadOnly):
    list_display = ("name", "holder", "epoch", "expires_at")


@admin.register(ProcessBeat)
class ProcessBeatAdmin(ReadOnly):
    list_display = ("name", "role", "host", "pid", "generation", "started_at", "beat_at")
    list_filter = ("role", "host")


# --- The queue -----------------------------------------------------------------------------------------------
# The library's own pages let anybody with the permission have any function of Python called (a schedule), or a finished
# task sent again. Our loop plans the work and runs have pages of their own: here the queue can only be looked at.
for _model in (Schedule, Success, Failure, OrmQ):
    if admin.site.is_registered(_model):
        admin.site.unregister(_model)


@admin.register(Success, Failure)
class TaskAdmin(ReadOnly):
    fields = ("name", "func", "group", "cluster", "started", "stopped")  # not the arguments: they are pickled
    list_display = ("name", "func", "group", "cluster", "started", "stopped")
    search_fields = ("name", "func", "group")


@admin.register(OrmQ)
class QueueAdmin(ReadOnly):
    fields = ("key", "lock")
    list_display = ("id", "key", "lock")
    list_filter = ("key",)
