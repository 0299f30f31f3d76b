from __future__ import annotations

import logging
from typing import Any

import pytest
from django.test import Client, RequestFactory

from tradingsite.foundation import client as client_
from tradingsite.foundation import context, setup
from tradingsite.foundation import logging as our_logging
from tradingsite.foundation.middleware import CONTENT_SECURITY_POLICY

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tradingsite.foundation.tests.urls")]

STRICT = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; "
    "form-action 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'"
)


@pytest.fixture
def browser(alice: Any) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(alice)
    return client


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/login/",
        "/nothing/",
        "/crash/",
        "/api/parcels/",
        "/api/nothing",
        "/api/crash/x/",
        "/back/login/",
        "/static/nothing.css",
    ],
)
def test_every_response_has_the_security_headers(browser: Client, path: str) -> None:
    response = browser.get(path)
    assert response["Content-Security-Policy"] == STRICT
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["X-Frame-Options"] == "DENY"
    assert response["Referrer-Policy"] == response["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "camera=()" in response["Permissions-Policy"]


def test_only_the_docs_page_may_style_inline(browser: Client) -> None:
    assert "style-src 'self' 'unsafe-inline'" in browser.get("/api/docs/")["Content-Security-Policy"]
    assert "script-src 'self';" in browser.get("/api/docs/")["Content-Security-Policy"]
    assert "unsafe" not in browser.get("/api/docsx/")["Content-Security-Policy"]
    assert "unsafe" not in str(CONTENT_SECURITY_POLICY)


def test_private_pages_are_not_stored_and_vary_by_htmx(browser: Client) -> None:
    response = browser.get("/")
    assert response.status_code == 200
    assert response["Cache-Control"] == "no-store, private" and "HX-Request" in response["Vary"]


def test_a_request_id_is_kept_when_harmless_and_made_otherwise(browser: Client) -> None:
    assert browser.get("/", headers={"X-Request-ID": "abc-12345"})["X-Request-ID"] == "abc-12345"
    for wrong in ("short", "new\nline-12345", "<script>alert(1)", "x" * 65):
        made = browser.get("/", headers={"X-Request-ID": wrong})["X-Request-ID"]
        assert made != wrong and len(made) == 32
    assert browser.get("/")["X-Request-ID"] != browser.get("/")["X-Request-ID"]
    assert context.request_id() == ""


def test_an_htmx_request_without_login_moves_the_whole_page(alice: Any) -> None:
    headers = {"HX-Request": "true", "HX-Current-URL": "http://testserver/runs/?state=failed&page=2"}
    response = Client().get("/", headers=headers)
    assert (response.status_code, response.content) == (204, b"")
    assert response["HX-Redirect"] == "/login/?next=%2Fruns%2F%3Fstate%3Dfailed%26page%3D2"


@pytest.mark.parametrize("evil", ["https://evil.example/x", "//evil.example", "javascript:alert(1)", ""])
def test_the_way_back_is_never_another_site(alice: Any, evil: str) -> None:
    response = Client().get("/", headers={"HX-Request": "true", "HX-Current-URL": evil})
    assert response["HX-Redirect"] == "/login/?next=%2F"


def test_an_ordinary_request_without_login_is_redirected(alice: Any) -> None:
    response = Client().get("/")
    assert (response.status_code, response["Location"]) == (302, "/login/?next=/")


def test_before_the_first_user_pages_lead_to_the_set_up() -> None:
    for path in ("/", "/login/", "/back/"):
        assert Client().get(path)["Location"] == "/setup/"
    assert Client().get("/setup/").status_code == 200
    assert Client().get("/api/parcels/").status_code == 401
    assert Client().get("/static/nothing.css").status_code == 404


def test_after_the_set_up_it_is_gone_and_asks_the_database_no_more(
    alice: Any, django_assert_num_queries: Any
) -> None:
    assert Client().get("/setup/").status_code == 404
    with django_assert_num_queries(0):
        assert Client().get("/login/").status_code == 200
    setup.forget()
    with django_assert_num_queries(1):
        Client().get("/login/")


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        (0, "198.51.100.7", "192.0.2.1"),
        (1, "198.51.100.7", "198.51.100.7"),
        (1, "203.0.113.9, 198.51.100.7", "198.51.100.7"),
        (2, "6.6.6.6, 203.0.113.9, 198.51.100.7", "203.0.113.9"),
        (2, "198.51.100.7", "192.0.2.1"),
        (1, "not-an-address", ""),
        (1, "2001:DB8::1", "2001:db8::1"),
    ],
)
def test_only_our_proxies_are_believed(settings: Any, proxies: int, forwarded: str, expected: str) -> None:
    settings.TRUSTED_PROXIES = proxies
    request = RequestFactory().get("/", REMOTE_ADDR="192.0.2.1", headers={"X-Forwarded-For": forwarded})
    assert client_.address(request) == expected


def test_log_records_carry_the_request_id_and_no_credentials(caplog: pytest.LogCaptureFixture) -> None:
    with context.use_request_id("req-1"), caplog.at_level(logging.INFO):
        logging.getLogger("x").info(
            "header %s and %s", "Token tsk_abcdefgh_" + "s" * 43, "postgresql://u:pw12@h/db"
        )
        logging.getLogger("x").info("nothing to hide")
    first, second = caplog.records
    assert first.request_id == "req-1"  # type: ignore[attr-defined]
    assert first.getMessage() == "header Token *** and postgresql://u:***@h/db"
    assert second.getMessage() == "nothing to hide"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("password=hunter2&x=1", "password=***&x=1"),
        ('{"api_key": "AKIA99", "a": 1}', '{"api_key": "***", "a": 1}'),
        ("/order?symbol=BTC&signature=deadbeef00", "/order?symbol=BTC&signature=***"),
        ("tsk_abcdefgh_" + "x" * 43, "tsk_abcdefgh_***"),
        ("the token bucket is empty", "the token bucket is empty"),
        ("Basic dXNlcjpwYXNz", "Basic ***"),
    ],
)
def test_redaction(text: str, expected: str) -> None:
    assert our_logging.redact(text) == expected
