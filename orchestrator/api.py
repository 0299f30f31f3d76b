"""The orchestrator as JSON: its state and commands, workflows, runs and decisions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, ClassVar

from django.utils.translation import gettext as _
from rest_framework.request import Request
from rest_framework.response import Response

from orchestrator.selectors import decisions, health, metrics, recommendations, runs, status, workflows
from orchestrator.services import scopes
from orchestrator.services import workflows as workflow_service
from orchestrator.services.scopes import Mode, Scope
from tradingsite.foundation import clock
from tradingsite.foundation.api.body import Choice, JsonObject, Text, Whole
from tradingsite.foundation.api.params import choices, instant, seconds, text
from tradingsite.foundation.api.views import ApiView, ListView, StrictSerializer, path_both
from tradingsite.foundation.errors import FieldProblem, Invalid, PreconditionFailed, PreconditionRequired

_slug = text(64)


class ScopeBody(StrictSerializer):
    """What to start."""

    scope = Choice([scope.value for scope in Scope], default=Scope.ALL.value, help_text="what `target` names")
    target = Text(max_length=64, allow_blank=True, default="", help_text="an asset type or a workflow's slug")
    reason = Text(max_length=200, allow_blank=True, default="", help_text="for the audit log")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if (attrs["scope"] == Scope.ALL) != (attrs["target"] == ""):
            detail = _("target names an asset type or a workflow, and is empty for all.")
            problem: FieldProblem = {"pointer": "#/target", "code": "invalid", "detail": detail}
            raise Invalid(detail, errors=[problem])
        return attrs


class StopBody(ScopeBody):
    """What to stop, and how: no new risk, nothing new at all, or nothing may act any more."""

    mode = Choice([mode.value for mode in Mode], default=Mode.PAUSE_ENTRIES.value)


class ReasonBody(StrictSerializer):
    """Why, for the audit log."""

    reason = Text(max_length=200, allow_blank=True, default="")


class WorkflowBody(StrictSerializer):
    """What may be changed of a workflow; what is left out stays. Intervals in seconds, inside the type's bounds."""

    name = Text(max_length=120, required=False)
    min_interval_s = Whole(min_value=1, max_value=2**31 - 1, required=False)
    base_interval_s = Whole(min_value=1, max_value=2**31 - 1, required=False)
    max_interval_s = Whole(min_value=1, max_value=2**31 - 1, required=False)
    params = JsonObject(required=False, help_text="only those that change")
    reason = Text(max_length=200, allow_blank=True, required=False)


# --- The orchestrator ---------------------------------------------------------------------------------------------


class Status(ApiView):
    """The switch, the leader, and what waits."""

    answers = {"GET": (200, status.OrchestratorStatus)}
    errors: ClassVar[Sequence[int]] = (503,)

    def get(self, request: Request) -> Response:
        return Response(status.status(clock.now()))


class Command(ApiView):
    """A command that was carried out; its answer says what changed and where to look."""

    answers = {"POST": (202, status.Operation)}

    def done(self, body: dict[str, Any], mode: str, result: scopes.Done) -> Response:
        scope, target = body["scope"], body["target"]
        location = "/api/orchestrator/status/"
        if scope == Scope.WORKFLOW:
            location = f"/api/workflows/{result.ids[0]}/"
        elif scope == Scope.ASSET_TYPE:
            location = f"/api/workflows/?asset_type={target}"
        answer = status.Operation(
            state="succeeded", scope=scope, target=target, mode=mode, position=result.position.value,
            switched=result.switched, changed=list(result.changed), links=status.Links(result=location),
        )  # fmt: skip
        return Response(answer, status=202, headers={"Location": location})


class Start(Command):
    """Let everything, one asset type or one workflow work (again)."""

    bodies = {"POST": ScopeBody}

    def post(self, request: Request) -> Response:
        body = self.body(ScopeBody)
        scope, now = Scope(body["scope"]), clock.now()
        result = scopes.start(scope, body["target"], actor=self.actor, now=now, reason=body["reason"])
        return self.done(body, "start", result)


class Stop(Command):
    """Stop everything, one asset type or one workflow; without a body: no new entries anywhere."""

    bodies = {"POST": StopBody}

    def post(self, request: Request) -> Response:
        body = self.body(StopBody)
        scope, mode, now = Scope(body["scope"]), Mode(body["mode"]), clock.now()
        result = scopes.stop(scope, body["target"], mode, actor=self.actor, now=now, reason=body["reason"])
        return self.done(body, mode.value, result)


class Recommendations(ApiView):
    """What the orchestrator would change, and why."""

    answers = {"GET": (200, recommendations.Recommendations)}

    def get(self, request: Request) -> Response:
        return Response(recommendations.all_of(clock.now()))


class RecommendationsOfType(ApiView):
    """What the orchestrator would change for one asset type."""

    answers = {"GET": (200, recommendations.Recommendations)}

    def get(self, request: Request, asset_type: str) -> Response:
        return Response(recommendations.of_type(asset_type, clock.now()))


class Metrics(ApiView):
    """Performance per workflow (success, durations, lag, cost) and what the engine counted."""

    params = {"window_s": seconds(60, 90 * 86400), "asset_type": text(32), "workflow": _slug}
    answers = {"GET": (200, metrics.OrchestratorMetrics)}

    def get(self, request: Request) -> Response:
        window: timedelta = self.query.pop("window_s", metrics.DEFAULT_WINDOW)
        return Response(metrics.metrics(clock.now(), window=window, **self.query))


class Health(ApiView):
    """Components, open findings, processes, queue and healing history."""

    answers = {"GET": (200, health.OrchestratorHealth)}

    def get(self, request: Request) -> Response:
        return Response(health.health(clock.now()))


# --- Workflows ----------------------------------------------------------------------------------------------------


class WorkflowList(ListView):
    """Workflows, newest first; archived ones only with ?status=archived."""

    params = {
        "asset_type": text(32), "status": choices(*workflows.STATUSES), "type": _slug, "workflow": _slug,
    }  # fmt: skip
    answers = {"GET": (200, workflows.WorkflowItem)}
    time_field = "created_at"

    def rows(self) -> Any:
        return workflows.rows(**self.query)

    def items(self, rows: Sequence[Any]) -> list[Any]:
        return workflows.items(rows, clock.now())


class WorkflowDetail(ApiView):
    """One workflow.

    Its ETag ends in the version of the configuration, and If-Match compares only that: a run that starts between
    reading and saving does not make the edit fail, another edit does.
    """

    answers = {"GET": (200, workflows.WorkflowItem), "PATCH": (200, workflows.WorkflowItem)}
    bodies = {"PATCH": WorkflowBody}
    seen: int  # the version If-Match named

    def get(self, request: Request, pk: int) -> Response:
        return Response(workflows.one(pk, clock.now()))

    def patch(self, request: Request, pk: int) -> Response:
        """Change name, intervals or parameters."""
        now, body = clock.now(), self.body(WorkflowBody)
        workflow_service.edit(pk, version=self.seen, actor=self.actor, now=now, **body)
        item = workflows.one(pk, now)
        return Response(item, headers={"ETag": self.etag(item)})

    def etag(self, data: Any) -> str:
        tag = super().etag(data)
        return f'{tag[:-1]}.v{data.version}"' if isinstance(data, workflows.WorkflowItem) else tag

    def require_match(self, header: str, data: Any) -> None:
        if not header.strip():
            raise PreconditionRequired(_("Send the ETag you read in the header If-Match."))
        versions = re.findall(r'(?<!W/)"[0-9a-f]+\.v(\d+)"', header)
        if header.strip() != "*" and str(data.version) not in versions:
            message = _("Somebody changed it after you read it. Read it again.")
            raise PreconditionFailed(message, etag=self.etag(data))
        self.seen = data.version


class WorkflowAction(ApiView):
    """Something done to a workflow; doing it again changes nothing."""

    answers = {"POST": (200, workflows.WorkflowItem)}
    bodies = {"POST": ReasonBody}


class WorkflowPause(WorkflowAction):
    """Plan no further run; a running one finishes."""

    def post(self, request: Request, pk: int) -> Response:
        now, reason = clock.now(), self.body(ReasonBody)["reason"]
        workflow_service.pause(pk, self.actor, now, reason)
        return Response(workflows.one(pk, now))


class WorkflowResume(WorkflowAction):
    """Work again after a pause, a quarantine or a halt."""

    def post(self, request: Request, pk: int) -> Response:
        now, reason = clock.now(), self.body(ReasonBody)["reason"]
        workflow_service.resume(pk, self.actor, now, reason)
        return Response(workflows.one(pk, now))


class WorkflowRun(ApiView):
    """Ask for a run as soon as the hard gates allow it."""

    answers = {"POST": (202, workflows.WorkflowItem)}
    bodies: ClassVar[dict[str, type[StrictSerializer]]] = {"POST": StrictSerializer}

    def post(self, request: Request, pk: int) -> Response:
        self.body(StrictSerializer)
        now = clock.now()
        workflow_service.request_run(pk, self.actor, now)
        item = workflows.one(pk, now)
        return Response(item, status=202, headers={"Location": f"/api/runs/?workflow={item.slug}"})


# --- Runs and decisions -------------------------------------------------------------------------------------------

_span = {"since": instant, "until": instant, "asset_type": text(32), "workflow": _slug, "cause": text(16)}


class RunList(ListView):
    """Runs, newest due first."""

    params = {**_span, "status": choices(*runs.STATUSES)}
    answers = {"GET": (200, runs.RunItem)}
    time_field = "slot_at"

    def rows(self) -> Any:
        return runs.rows(**self.query)

    def item(self, row: Any) -> Any:
        return runs.item(row)


class RunDetail(ApiView):
    """One run with steps, transitions and result."""

    answers = {"GET": (200, runs.RunDetail)}

    def get(self, request: Request, pk: int) -> Response:
        return Response(runs.one(pk))


class DecisionList(ListView):
    """Decisions, newest first; equal ones are told once with `checks`."""

    params = {**_span, "action": choices(*decisions.ACTIONS)}
    answers = {"GET": (200, decisions.DecisionItem)}
    time_field = "decided_at"

    def rows(self) -> Any:
        return decisions.rows(**self.query)

    def item(self, row: Any) -> Any:
        return decisions.item(row)


class DecisionDetail(ApiView):
    """One decision: why, why not otherwise, and from what."""

    answers = {"GET": (200, decisions.DecisionDetail)}

    def get(self, request: Request, pk: int) -> Response:
        return Response(decisions.one(pk))


urlpatterns = [
    *path_both("orchestrator/status", Status.as_view(), "status"),
    *path_both("orchestrator/start", Start.as_view(), "start"),
    *path_both("orchestrator/stop", Stop.as_view(), "stop"),
    *path_both("orchestrator/recommendations", Recommendations.as_view(), "recommendations"),
    *path_both(
        "orchestrator/recommendations/<str:asset_type>", RecommendationsOfType.as_view(), "recommendations-of"
    ),
    *path_both("orchestrator/metrics", Metrics.as_view(), "metrics"),
    *path_both("orchestrator/health", Health.as_view(), "health"),
    *path_both("workflows", WorkflowList.as_view(), "workflows"),
    *path_both("workflows/<int:pk>", WorkflowDetail.as_view(), "workflow"),
    *path_both("workflows/<int:pk>/pause", WorkflowPause.as_view(), "workflow-pause"),
    *path_both("workflows/<int:pk>/resume", WorkflowResume.as_view(), "workflow-resume"),
    *path_both("workflows/<int:pk>/run", WorkflowRun.as_view(), "workflow-run"),
    *path_both("runs", RunList.as_view(), "runs"),
    *path_both("runs/<int:pk>", RunDetail.as_view(), "run"),
    *path_both("decisions", DecisionList.as_view(), "decisions"),
    *path_both("decisions/<int:pk>", DecisionDetail.as_view(), "decision"),
]
