"""Resources of the ground floor: alerts, the audit log, API tokens, the description of the API, and the two probes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, ClassVar

from django.utils import translation
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.views import SpectacularSwaggerSplitView
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from tradingsite.foundation import alerts, clock, readiness, selectors, tokens
from tradingsite.foundation.api.auth import SessionAuthentication, TokenAuthentication
from tradingsite.foundation.api.body import Choice, Instant, Text
from tradingsite.foundation.api.params import choices, instant, text
from tradingsite.foundation.api.permissions import RoleOrScope
from tradingsite.foundation.api.shapes import OneOf
from tradingsite.foundation.api.views import ApiView, ListView, StrictSerializer, UnknownRoute, path_both
from tradingsite.foundation.errors import Unavailable
from tradingsite.foundation.roles import Role

# --- Alerts -------------------------------------------------------------------------------------------------------


class AlertList(ListView):
    """Alerts, newest first."""

    params = {
        "status": choices("open", "acknowledged", "resolved"), "severity": choices("info", "warning", "critical"),
        "code": text(60), "since": instant, "until": instant, "q": text(100),
    }  # fmt: skip
    answers = {"GET": (200, selectors.AlertRow)}
    time_field = "last_seen_at"

    def rows(self) -> Any:
        return selectors.alerts(**self.query)

    def item(self, row: Any) -> Any:
        return selectors.alert_row(row)


class AlertDetail(ApiView):
    """One alert."""

    answers = {"GET": (200, selectors.AlertRow)}

    def get(self, request: Request, pk: int) -> Response:
        return Response(selectors.alert(pk))


class AlertAcknowledge(ApiView):
    """Say that a person has seen it; again changes nothing."""

    answers = {"POST": (200, selectors.AlertRow)}
    bodies = {"POST": StrictSerializer}

    def post(self, request: Request, pk: int) -> Response:
        self.body(StrictSerializer)
        alerts.acknowledge(pk, self.actor, clock.now())
        return Response(selectors.alert(pk))


# --- Audit --------------------------------------------------------------------------------------------------------


class AuditList(ListView):
    """The append-only log of who did what, newest first."""

    required_role = Role.ADMIN
    params = {
        "action": text(80), "actor": text(150), "object_type": text(60), "object_id": text(80), "since": instant,
        "until": instant,
    }  # fmt: skip
    answers = {"GET": (200, selectors.AuditRow)}
    time_field = "at"

    def rows(self) -> Any:
        return selectors.audit_events(**self.query)

    def item(self, row: Any) -> Any:
        return selectors.audit_row(row)


# --- Tokens -------------------------------------------------------------------------------------------------------


class TokenBody(StrictSerializer):
    """A new token of the person who asks."""

    name = Text(max_length=80)
    scopes = serializers.ListField(child=Choice(list(tokens.SCOPES)), min_length=1, max_length=4)
    expires_at = Instant(required=False, allow_null=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class IssuedToken:
    """A new token. The secret is told once, here."""

    id: int
    name: str
    scopes: list[str]
    expires_at: Any
    token: Annotated[str | None, "the secret; null when a request is repeated: it is not kept"]


class TokenList(ListView):
    """API tokens, without their secrets."""

    required_role = Role.ADMIN
    answers = {"GET": (200, selectors.TokenRow), "POST": (201, IssuedToken)}
    bodies = {"POST": TokenBody}

    def rows(self) -> Any:
        return selectors.access_tokens(self.request.user)

    def items(self, rows: Sequence[Any]) -> list[Any]:
        now = clock.now()
        return [selectors.token_row(row, now) for row in rows]

    def post(self, request: Request) -> Response:
        """Issue a token for yourself."""
        body = self.body(TokenBody)
        issued = tokens.issue(
            user=request.user, name=body["name"], scopes=body["scopes"], expires_at=body.get("expires_at"),
            actor=self.actor, now=clock.now(),
        )  # fmt: skip
        token = issued.token
        answer = {
            "id": token.pk, "name": token.name, "scopes": token.scopes, "expires_at": token.expires_at,
            "token": issued.clear,
        }  # fmt: skip
        return Response(answer, status=201, headers={"Location": f"/api/tokens/{token.pk}/"})

    def kept(self, data: Any) -> Any:
        return {**data, "token": None} if isinstance(data, dict) and "token" in data else data


class TokenDetail(ApiView):
    """One API token, without its secret."""

    required_role = Role.ADMIN
    answers = {"GET": (200, selectors.TokenRow)}
    # Whoever revokes a token means it, whatever happened to it since they looked.
    if_match_methods = frozenset()

    def get(self, request: Request, pk: int) -> Response:
        return Response(selectors.token(request.user, pk, clock.now()))

    def delete(self, request: Request, pk: int) -> Response:
        """Revoke it, at once and for good; again changes nothing."""
        tokens.revoke(pk, actor=self.actor, now=clock.now())
        return Response(status=204)


# --- The API about itself -----------------------------------------------------------------------------------------


class Description(ApiView):
    """This description, OpenAPI 3.1."""

    answers = {"GET": (200, dict[str, Any])}

    def get(self, request: Request) -> Response:
        return Response(_description(translation.get_language() or "en"))


@cache
def _description(language: str) -> Any:
    # The code does not change while we run. `public`: the same for everybody, whatever they may do.
    return SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]


class Docs(SpectacularSwaggerSplitView):
    """The description as a page; all its files come from here."""

    authentication_classes = [TokenAuthentication, SessionAuthentication]
    permission_classes = [RoleOrScope]
    throttle_classes = ()
    url_name = "api:schema"
    template_name = "pages/api_docs.html"  # ours: with the mode and a way back


# --- Probes -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Alive:
    """The process answers."""

    status: Annotated[str, OneOf("ok")]


@dataclass(frozen=True, kw_only=True, slots=True)
class Ready:
    """Every part this process needs works."""

    status: Annotated[str, OneOf("ready")]
    components: list[str]


class Probe(ApiView):
    """Open to everybody, so it says nothing about the inside."""

    authentication_classes = []
    permission_classes = []
    throttle_classes = []


class Healthz(Probe):
    """The process is up. Asks no other part."""

    answers = {"GET": (200, Alive)}

    def get(self, request: Request) -> Response:
        return Response(Alive(status="ok"))


class Readyz(Probe):
    """The process can serve: database, migrations, cache and queue work; 503 names those that do not."""

    answers = {"GET": (200, Ready)}
    errors: ClassVar[Sequence[int]] = (503,)

    def get(self, request: Request) -> Response:
        found = readiness.components()
        broken = [name for name, works in found.items() if not works]
        if broken:
            raise Unavailable("Not ready: " + ", ".join(broken) + ".", code="not-ready", components=broken)
        return Response(Ready(status="ready", components=list(found)))


urlpatterns = [
    *path_both("alerts", AlertList.as_view(), "alerts"),
    *path_both("alerts/<int:pk>", AlertDetail.as_view(), "alert"),
    *path_both("alerts/<int:pk>/ack", AlertAcknowledge.as_view(), "alert-ack"),
    *path_both("audit", AuditList.as_view(), "audit"),
    *path_both("tokens", TokenList.as_view(), "tokens"),
    *path_both("tokens/<int:pk>", TokenDetail.as_view(), "token"),
    *path_both("schema", Description.as_view(), "schema"),
]
probes = [
    *path_both("healthz", Healthz.as_view(), "healthz"),
    *path_both("readyz", Readyz.as_view(), "readyz"),
]
docs = Docs.as_view()
# People read it in a browser: send them to the login like any page.
docs.login_required = True  # type: ignore[attr-defined]
unknown = UnknownRoute.as_view()
