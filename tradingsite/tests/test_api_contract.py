"""Who may do what, everywhere: the matrix covers every address of the API and every method, from the URL resolver."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tradingsite.foundation import readiness
from tradingsite.foundation.api import throttles
from tradingsite.foundation.models import ApiToken, AuditEvent
from tradingsite.foundation.testkit import make_user, token_for
from tradingsite.tests import api_world
from tradingsite.tests.api_routes import api_routes, fill, patterns

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
RANK = {"viewer": 1, "operator": 2, "trader": 3, "admin": 4}
SCOPES = {"read": "viewer", "operate": "operator", "trade": "trader", "admin": "admin"}
READ = {"GET": "viewer"}
ACT = {"POST": "operator"}
# What each address can do, and who may. An address that is not here fails the test: decide who may use it.
MATRIX: dict[str, dict[str, str]] = {
    "api/alerts": READ,
    "api/alerts/<int:pk>": READ,
    "api/alerts/<int:pk>/ack": ACT,
    "api/alerts/<int:pk>/snooze": ACT,
    "api/audit": {"GET": "admin"},
    "api/candles": READ,
    "api/decisions": READ,
    "api/decisions/<int:pk>": READ,
    "api/discrepancies": READ,
    "api/discrepancies/<int:pk>/resolve": {"POST": "trader"},
    "api/fills": READ,
    "api/instruments": READ,
    "api/instruments/<str:symbol>": READ,
    "api/market/candles": READ,
    "api/notifications": READ,
    "api/orchestrator/health": READ,
    "api/orchestrator/metrics": READ,
    "api/orchestrator/recommendations": READ,
    "api/orchestrator/recommendations/<str:asset_type>": READ,
    "api/orchestrator/start": ACT,
    "api/orchestrator/status": READ,
    "api/orchestrator/stop": ACT,
    "api/orders": {"GET": "viewer", "POST": "trader"},
    "api/orders/<int:pk>/cancel": {"POST": "trader"},
    "api/portfolio": READ,
    "api/risk": READ,
    "api/risk/limits/<str:account>": {"GET": "viewer", "PATCH": "trader"},
    "api/positions": READ,
    "api/runs": READ,
    "api/runs/<int:pk>": READ,
    "api/schema": READ,
    "api/tokens": {"GET": "admin", "POST": "admin"},
    "api/tokens/<int:pk>": {"GET": "admin", "DELETE": "admin"},
    "api/venue-accounts": READ,
    "api/workflows": READ,
    "api/workflows/<int:pk>": {"GET": "viewer", "PATCH": "operator"},
    "api/workflows/<int:pk>/pause": ACT,
    "api/workflows/<int:pk>/resume": ACT,
    "api/workflows/<int:pk>/run": ACT,
}
PROBES = {"healthz", "readyz"}
# Views of one role for everything, also for methods they do not have.
ADMIN_ONLY = {"api/audit", "api/tokens", "api/tokens/<int:pk>"}
# What a stranger may see; everything else asks for a login. Kept short and reviewed by hand.
OPEN_TO_ALL = {
    "/healthz", "/healthz/", "/readyz", "/readyz/", "/login/", "/backoffice/jsi18n/",
    "/settings/look/",  # language and colours of the login page: a cookie of the stranger's own
}  # fmt: skip


@pytest.fixture
def world(at: Any, db: Any) -> api_world.World:
    return api_world.build(at)


@pytest.fixture(autouse=True)
def _no_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttles, "LIMITS", {"read": 10**9, "write": 10**9, "orders": 10**9})


def needed(route: str, method: str) -> str:
    listed = MATRIX[route].get("GET" if method == "HEAD" else method)
    if route in ADMIN_ONLY:
        return "admin"
    return listed or ("viewer" if method in ("GET", "HEAD", "OPTIONS") else "operator")


def supports(route: str, method: str) -> bool:
    return method == "OPTIONS" or ("GET" if method == "HEAD" else method) in MATRIX[route]


PRINCIPALS = (
    None, *(("session", role, role) for role in RANK), *(("token", scope, role) for scope, role in SCOPES.items()),
    ("token of a viewer", "admin", "viewer"),
)  # fmt: skip


def client_of(principal: Any) -> Client:
    """A stranger, a session of a role, or a token of a scope (of an admin, so that the scope decides)."""
    if principal is None:
        return Client()
    kind, name, role = principal
    user = make_user("somebody", role if kind != "token" else "admin")
    if kind != "session":
        return Client(headers={"Authorization": f"Token {token_for(user, name)}"})
    client = Client()
    client.force_login(user)
    return client


def send(client: Client, method: str, url: str, **more: Any) -> Any:
    return client.generic(method, url, data=b"", content_type="application/json", **more)


def address(route: str, world: api_world.World, spare_token: int) -> str:
    pks = {
        "api/workflows": world.workflow.pk, "api/runs": world.run.pk, "api/decisions": world.decision.pk,
        "api/orders": world.order.pk, "api/alerts": world.alert.pk, "api/tokens": spare_token,
    }  # fmt: skip
    pk = pks.get(route.split("/<")[0], 1)
    asset_type = world.workflow.asset_type
    url = fill(
        route, pk=pk, symbol=world.instrument.symbol, asset_type=asset_type, account=f"{asset_type}-demo"
    )
    return url + (f"?instrument={world.instrument.symbol}" if route.rstrip("/").endswith("candles") else "")


def check(status: int, role: str | None, route: str, method: str) -> str:
    """ "" when the answer is right, else what is wrong with it."""
    if role is None:
        return "" if status == 401 else f"stranger got {status}"
    if RANK[role] < RANK[needed(route, method)]:
        return "" if status == 403 else f"{role} got {status}, not 403"
    if not supports(route, method):
        return "" if status == 405 else f"{role} got {status}, not 405"
    return "" if status < 500 and status not in (401, 403, 404, 405) else f"{role} got {status}"


def test_every_address_is_in_the_matrix_in_both_slash_forms() -> None:
    found = api_routes()
    assert {route.rstrip("/") for route in found} == set(MATRIX) | PROBES
    assert sorted(found) == sorted([*{r.rstrip("/") for r in found}, *{r.rstrip("/") + "/" for r in found}])
    views: dict[str, set[Any]] = {}
    for route, entry in patterns():
        views.setdefault(route.rstrip("/"), set()).add(entry.callback.view_class if route in found else None)
    assert all(len(views[route]) == 1 for route in MATRIX), "both forms are the same view"


@pytest.mark.parametrize("principal", PRINCIPALS, ids=str)
def test_everybody_gets_what_they_may_and_nothing_else_everywhere(principal: Any, at: Any, db: Any) -> None:
    world = api_world.small(at)
    client, wrong, cells = client_of(principal), [], 0
    for route in MATRIX:
        for method in METHODS:
            url = address(f"{route}/", world, world.token.pk)
            status = send(client, method, url).status_code
            problem = check(status, principal and principal[2], route, method)
            cells += 1
            if problem:
                wrong.append(f"{method} {route}: {problem}")
    assert wrong == []
    assert cells == len(METHODS) * len(MATRIX)


def test_a_stranger_sees_nothing_but_the_login_and_the_probes(db: Any, alice: Any) -> None:
    seen = []
    for route, _entry in patterns():
        if "^" in route or "(?P" in route or "\\" in route:
            continue
        url = fill(route)
        for method in ("GET", "POST"):
            response = send(Client(), method, url)
            refused = response.status_code in (401, 403) or (
                response.status_code == 302 and "/login/" in response.headers["Location"]
            )
            # A method an address does not have, and a set-up that is over, say nothing.
            if not refused and response.status_code not in (404, 405):
                seen.append((method, url, response.status_code))
    assert [entry for entry in seen if entry[1] not in OPEN_TO_ALL] == []


def test_reading_changes_nothing(world: Any, alice: Any) -> None:
    client = Client(headers={"Authorization": f"Token {token_for(alice, 'admin')}"})
    client.get("/api/orchestrator/status")  # the first use of a token is noted

    def tables() -> dict[str, Any]:
        skipped = {"foundation_throttlebucket"}
        with connection.cursor() as cursor:
            names = [name for name in connection.introspection.table_names(cursor) if name not in skipped]
            counts = {}
            for name in names:
                cursor.execute(f'SELECT COUNT(*) FROM "{name}"')
                counts[name] = cursor.fetchone()[0]
        return counts

    before, audited = tables(), AuditEvent.objects.count()
    for route in api_routes():
        for method in ("GET", "HEAD", "OPTIONS"):
            send(client, method, address(route, world, 1))
    assert tables() == before
    assert AuditEvent.objects.count() == audited


def test_no_resource_needs_more_than_fifteen_queries(world: Any, alice: Any) -> None:
    client = Client(headers={"Authorization": f"Token {token_for(alice, 'admin')}"})
    spare = ApiToken.objects.order_by("pk")[0].pk
    counts = {}
    for route in (route for route in MATRIX if "GET" in MATRIX[route]):
        url = address(route, world, spare)
        assert client.get(url).status_code == 200, url
        with CaptureQueriesContext(connection) as queries:
            client.get(url)
        counts[route] = len(queries)
    assert {route: count for route, count in counts.items() if count > 15} == {}
    assert min(counts.values()) > 0


def test_changing_with_a_session_needs_the_csrf_token_everywhere(world: Any, alice: Any) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    for route, methods in MATRIX.items():
        for method in set(methods) - {"GET"}:
            response = send(client, method, address(route, world, 1))
            assert (response.status_code, response.json()["code"]) == (403, "csrf-failed"), (method, route)


def test_a_token_counts_in_the_header_only(alice: Any) -> None:
    clear = token_for(alice, "admin")
    client = Client()
    client.cookies["token"] = clear
    client.cookies["Authorization"] = f"Token {clear}"
    for query in (f"?token={clear}", f"?Authorization=Token%20{clear}", f"?api_key={clear}"):
        assert client.get(f"/api/orchestrator/status{query}").status_code == 401


def test_the_probes_are_open_and_the_first_asks_no_database(db: Any) -> None:
    with CaptureQueriesContext(connection) as queries:
        for url in ("/healthz", "/healthz/"):
            response = Client().get(url)
            assert (response.status_code, response.json()) == (200, {"status": "ok"})
    assert len(queries) == 0
    readiness.forget()
    assert Client().get("/readyz").json()["status"] == "ready"


def test_a_broken_part_is_named_and_nothing_more_is_said(db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> bool:
        raise OSError("/secret/place is full")

    monkeypatch.setitem(readiness._checks, "cache", broken)
    readiness.forget()
    response = Client().get("/readyz")
    readiness.forget()
    assert response.status_code == 503
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["params"] == {"components": ["cache"]}
    assert "secret" not in response.content.decode()


def test_missing_migrations_make_it_not_ready(db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db.migrations.executor import MigrationExecutor

    readiness.forget()
    monkeypatch.setattr(MigrationExecutor, "migration_plan", lambda *_: ["something"])
    assert Client().get("/readyz").json()["params"] == {"components": ["migrations"]}
    readiness.forget()


def test_the_docs_page_needs_a_login_and_loads_everything_from_here(alice: Any) -> None:
    assert Client().get("/api/docs/").status_code == 302
    client = Client()
    client.force_login(alice)
    page, script = client.get("/api/docs/"), client.get("/api/docs/?script=")
    assert page.status_code == script.status_code == 200
    assert "http:" not in page.content.decode() + script.content.decode()
    assert "https:" not in page.content.decode()
    assert "'unsafe-inline'" in page.headers["Content-Security-Policy"].split("style-src")[1].split(";")[0]
    assert (
        "'unsafe-inline'" not in page.headers["Content-Security-Policy"].split("script-src")[1].split(";")[0]
    )
    assert "'unsafe-inline'" not in client.get("/api/orchestrator/status/").headers["Content-Security-Policy"]
    for name in ("swagger-ui.css", "swagger-ui-bundle.js", "swagger-ui-standalone-preset.js"):
        assert client.get(f"/static/drf_spectacular_sidecar/swagger-ui-dist/{name}").status_code == 200


def test_the_description_covers_every_address_and_method_with_schemas(alice: Any) -> None:
    client = Client()
    client.force_login(alice)
    described = client.get("/api/schema/").json()
    assert described["openapi"] == "3.1.0"
    found = {
        path.strip("/")
        .replace("{id}", "<int:pk>")
        .replace("{symbol}", "<str:symbol>")
        .replace("{account}", "<str:account>")
        .replace("{asset_type}", "<str:asset_type>"): {method.upper() for method in operations}
        for path, operations in described["paths"].items()
    }
    assert found == {route: set(methods) for route, methods in MATRIX.items()} | {
        name: {"GET"} for name in PROBES
    }
    names = [operation["operationId"] for path in described["paths"].values() for operation in path.values()]
    assert len(names) == len(set(names))
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            good = [code for code in operation["responses"] if code.startswith("2")]
            assert good, (path, method)
            assert operation["summary"], (path, method)
            if good != ["204"]:
                assert "schema" in operation["responses"][good[0]]["content"]["application/json"], (
                    path,
                    method,
                )
            if "healthz" not in path and "readyz" not in path:
                assert operation["security"] == [{"token": []}, {"session": []}]
    json.dumps(described, allow_nan=False)


def test_every_resource_answers_as_described(world: Any, alice: Any) -> None:
    client = Client()
    client.force_login(alice)
    token_for(alice, "read")
    described = client.get("/api/schema/").json()
    checked = 0
    for path, operations in described["paths"].items():
        if "get" not in operations or path == "/api/schema/":
            continue
        answer = operations["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        schema = {**answer, "components": described["components"]}
        route = path.strip("/").replace("{id}", "<int:pk>").replace("{symbol}", "<str:symbol>")
        route = route.replace("{asset_type}", "<str:asset_type>").replace("{account}", "<str:account>")
        body = client.get(
            address(route, world, ApiToken.objects.get().pk) if route in MATRIX else path
        ).json()
        jsonschema.validate(body, schema, cls=jsonschema.Draft202012Validator)
        assert "results" not in body or body["results"] or "recommendations" in path, path
        checked += 1
    assert checked >= 25


def test_the_description_is_valid_openapi(capsys: pytest.CaptureFixture[str]) -> None:
    from django.core.management import call_command

    call_command("spectacular", "--validate", "--fail-on-warn")
    assert "/api/orchestrator/status/" in capsys.readouterr().out
