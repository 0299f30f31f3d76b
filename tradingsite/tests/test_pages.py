"""Pages through the test client: budgets, roles, refusals, first run, addresses."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import get_resolver, reverse
from django.utils import translation

from orchestrator.models import Workflow
from tradingsite.foundation import numbers_text, setup
from tradingsite.foundation.errors import Invalid
from tradingsite.foundation.models import AuditEvent
from tradingsite.foundation.typed_numbers import parse
from tradingsite.management.bootstrap import bootstrap

pytestmark = pytest.mark.django_db

PUBLIC = {"login", "setup", "set-look"}
BUDGET = 15


@pytest.fixture
def ready(at: datetime) -> None:
    """What an empty, migrated database has after its first start."""
    bootstrap(datetime(2026, 11, 20, 12, 0, tzinfo=UTC))


def page_patterns() -> list[tuple[str, Any]]:
    found = []
    for name, patterns in get_resolver().namespace_dict["pages"][1].reverse_dict.lists():
        if isinstance(name, str):
            found.append((name, patterns[0]))
    return found


def url_of(name: str) -> str:
    guesses = ({}, {"pk": 1}, {"asset_type": "forex"}, {"slug": "forex"}, {"number": "1", "verb": "pause"})
    for arguments in guesses:
        try:
            return reverse(f"pages:{name}", kwargs=arguments)
        except Exception:  # noqa: BLE001 - the next guess may fit
            continue
    raise AssertionError(f"no arguments fit {name}")


def test_anonymous_people_get_only_the_login_and_what_comes_before(alice: Any, client: Client) -> None:
    for name, _pattern in page_patterns():
        answer = client.get(url_of(name))
        if name in PUBLIC:
            assert answer.status_code in (200, 404, 405), name
        else:
            assert answer.status_code == 302 and answer.headers["Location"].startswith("/login/"), name


def test_reading_changes_nothing(alice: Any, client: Client, ready: None) -> None:
    client.force_login(alice)
    before = AuditEvent.objects.count()
    for name, _pattern in page_patterns():
        assert client.get(url_of(name)).status_code in (200, 302, 304, 404, 405), name
    assert AuditEvent.objects.count() == before


PAGES = [
    "overview", "workflows", "runs", "decisions", "health", "control", "instruments", "positions", "orders", "trades",
    "alerts", "audit", "help", "about", "preferences", "frame-status", "overview-top", "workflow-rows",
]  # fmt: skip


@pytest.mark.parametrize("name", PAGES)
def test_no_page_asks_more_than_its_budget(name: str, alice: Any, client: Client, ready: None) -> None:
    client.force_login(alice)
    url = url_of(name)
    client.get(url)
    with CaptureQueriesContext(connection) as queries:
        assert client.get(url).status_code == 200
    assert len(queries) <= BUDGET, [query["sql"][:120] for query in queries]


@pytest.mark.parametrize("tab", ["summary", "instruments", "positions", "runs", "settings"])
def test_asset_pages_stay_in_the_budget(tab: str, bob: Any, client: Client, ready: None) -> None:
    client.force_login(bob)
    url = f"/assets/forex/?tab={tab}"
    client.get(url)
    with CaptureQueriesContext(connection) as queries:
        assert client.get(url).status_code == 200
    assert len(queries) <= BUDGET, [query["sql"][:120] for query in queries]


def test_a_fragment_answers_204_to_its_own_version_and_again_after_a_change(
    bob: Any, client: Client, ready: None
) -> None:
    client.force_login(bob)
    html = client.get("/ui/workflows/rows/").content.decode()
    version = re.search(r"\?v=([0-9a-f]+)", html)
    assert version
    url = f"/ui/workflows/rows/?v={version[1]}"
    assert client.get(url).status_code == 204
    Workflow.objects.filter(slug="forex").update(updated_at=datetime(2030, 1, 1, tzinfo=UTC))
    assert client.get(url).status_code == 200


@pytest.mark.parametrize("verb", ["pause", "resume", "halt", "run-now", "pause-entries"])
def test_a_viewer_is_refused_and_the_refusal_is_audited(
    verb: str, charlie: Any, client: Client, ready: None
) -> None:
    client.force_login(charlie)
    pk = Workflow.objects.get(slug="forex").pk
    assert client.post(f"/workflows/{pk}/{verb}/").status_code == 403
    assert AuditEvent.objects.filter(action="permission.refused", actor_name="charlie").count() == 1
    assert Workflow.objects.get(pk=pk).status == "active"


def test_an_operator_pauses_and_resumes_and_twice_is_once(bob: Any, client: Client, ready: None) -> None:
    client.force_login(bob)
    pk = Workflow.objects.get(slug="forex").pk
    for verb, status in (("pause", "paused"), ("pause", "paused"), ("resume", "active")):
        assert client.post(f"/workflows/{pk}/{verb}/").status_code == 303
        assert Workflow.objects.get(pk=pk).status == status
    actions = AuditEvent.objects.filter(action__startswith="workflow.", actor_name="bob").values_list(
        "action", flat=True
    )
    assert sorted(actions) == ["workflow.pause", "workflow.resume"]


def test_posts_without_the_token_are_refused(bob: Any) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(bob)
    answer = client.post("/control/change/", {"position": "stopped"})
    assert answer.status_code == 403
    assert b"<h1>" in answer.content


def test_next_never_leads_away(alice: Any, client: Client) -> None:
    client.force_login(alice)
    for foreign in ("//evil.example", "https:evil.example", "\\\\evil.example", "https://evil.example/"):
        answer = client.post("/settings/look/", {"theme": "dark", "next": foreign})
        assert answer.headers["Location"] == "/"


def test_an_unknown_theme_is_refused_and_named(alice: Any, client: Client) -> None:
    client.force_login(alice)
    assert client.post("/settings/look/", {"theme": "<script>"}).status_code == 400
    assert client.post("/settings/profile/", {"time_zone": "Mars/Olympus"}).status_code == 422


@pytest.mark.parametrize(
    "path", ["/nope/", "/workflows/99/", "/runs/99/", "/decisions/99/", "/instruments/99/"]
)
def test_missing_things_are_404_in_words(path: str, alice: Any, client: Client) -> None:
    client.force_login(alice)
    answer = client.get(path)
    assert answer.status_code == 404
    assert b"Traceback" not in answer.content and b"<h1>" in answer.content


@pytest.mark.parametrize(
    "path",
    [
        "/runs/?page=0",
        "/runs/?page=x",
        "/runs/?status=odd",
        "/decisions/?cause=odd",
        "/?range=9y",
        "/alerts/?state=x",
    ],
)
def test_wrong_filters_are_400_in_words(path: str, alice: Any, client: Client) -> None:
    client.force_login(alice)
    assert client.get(path).status_code == 400


def test_the_setup_goes_away_once_there_is_somebody(client: Client) -> None:
    setup.forget()
    assert client.get("/").headers["Location"] == "/setup/"
    answer = client.post("/setup/", {"username": "alice", "password": "correct horse battery staple"})
    assert answer.headers["Location"] == "/setup/look/"
    assert client.get("/setup/").status_code == 404
    setup.forget()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1234.5", "1234.5"),
        ("1234,5", "1234.5"),
        ("1 234,5", "1234.5"),
        ("1,234.5", "1234.5"),
        ("0,125", "0.125"),
        ("−3", "-3"),
    ],
)
def test_numbers_are_read_as_people_write_them(text: str, value: str) -> None:
    assert parse(text) == Decimal(value)


@pytest.mark.parametrize(
    ("text", "code"),
    [("1,234", "ambiguous"), ("", "required"), ("12x", "not-a-number"), ("NaN", "not-a-number")],
)
def test_numbers_that_are_unclear_are_asked_back(text: str, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse(text)
    assert refused.value.code == code


FORMATS: list[tuple[Callable[[], str | None], str, str]] = [
    (lambda: numbers_text.money("12345.678", "EUR"), "€12,345.68", "12 345,68 €"),
    (lambda: numbers_text.money("-0.004", "USD"), "$0.00", "0,00 $"),
    (lambda: numbers_text.money("-12", "USD", sign=True), "−$12.00", "−12,00 $"),
    (lambda: numbers_text.percent("0.12341"), "12.34%", "12,34 %"),
    (lambda: numbers_text.price("0.00001234"), "0.00001234", "0,00001234"),
    (lambda: numbers_text.price("64000.123", "0.01"), "64,000.12", "64 000,12"),
    (lambda: numbers_text.quantity("1.50000", "0.001"), "1.5", "1,5"),
    (lambda: numbers_text.compact(1234567), "1.2M", "1,2 M"),
    (lambda: numbers_text.duration(150), "2 min 30 s", "2 min 30 s"),
    (lambda: numbers_text.money("NaN", "USD"), "None", "None"),
]


@pytest.mark.parametrize("case", range(len(FORMATS)))
def test_numbers_are_shown_as_people_read_them(case: int) -> None:
    shown, english, french = FORMATS[case]
    for language, expected in (("en", english), ("fr", french)):
        with translation.override(language):
            assert str(shown()).replace("\u00a0", " ") == expected
