"""Cheap proofs of the security checklist at the border: headers, ways back, passwords, sessions, files, production."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.test import Client

from assets.trading.models import Discrepancy
from assets.trading.tests import kit
from orchestrator.models import Workflow
from tradingsite.foundation import alerts, audit, clock
from tradingsite.foundation.testkit import PASSWORD, make_user, token_for
from tradingsite.settings import base
from tradingsite.tests.api_routes import fill, patterns
from tradingsite.tests.test_settings import GOOD, load

pytestmark = pytest.mark.django_db
HEADERS = (
    "Content-Security-Policy", "X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy",
    "Cross-Origin-Opener-Policy", "Permissions-Policy",
)  # fmt: skip
XSS = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'>{{7*7}}"


def routes() -> list[str]:
    return [
        route
        for route, _pattern in patterns()
        if "^" not in route and "\\" not in route and "(?P" not in route
    ]


@pytest.fixture
def boss(client: Client) -> Client:
    client.force_login(make_user("boss", "admin", is_staff=True, is_superuser=True))
    client.raise_request_exception = False
    return client


def test_every_answer_of_every_address_carries_the_headers(boss: Client) -> None:
    """S09, S15, S16: with login and without, for errors too; nothing of it may be framed, stored or sniffed."""
    seen = 0
    for client in (boss, Client(raise_request_exception=False)):
        for route in routes():
            for method in ("get", "post"):
                answer = getattr(client, method)(fill(route))
                assert not [name for name in HEADERS if not answer.has_header(name)], (method, route)
                assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
                assert "unsafe-eval" not in answer.headers["Content-Security-Policy"]
                if answer.headers.get("Content-Type", "").startswith(("text/html", "application/json")) and (
                    not route.startswith(("healthz", "readyz"))
                ):
                    kept = answer.headers.get("Cache-Control", "")
                    assert "private" in kept or "no-store" in kept or "no-cache" in kept, route
                seen += 1
    assert seen > 300


EVIL = (
    "//evil.example", "https:evil.example", "\\\\evil.example", "/\\evil.example", "https://evil.example", "%2f%2fevil.example",
    "javascript:alert(1)", "http:///evil.example", "///evil.example", " //evil.example", "\t//evil.example", "//evil.example/%2e%2e",
)  # fmt: skip


@pytest.mark.parametrize("evil", EVIL)
def test_no_way_back_leads_to_another_site(db: Any, evil: str) -> None:
    """S17"""
    make_user("alice", "admin")
    client = Client()
    for answer in (
        client.post("/login/", {"username": "alice", "password": PASSWORD, "next": evil}),
        client.post("/settings/look/", {"theme": "dark", "next": evil}),
    ):
        assert answer.status_code in (302, 303)
        # As browsers read it: a backslash is a slash, blanks around are dropped.
        place = answer.headers["Location"].strip().replace("\\", "/")
        assert urlsplit(urljoin("https://own.example/login/", place)).netloc == "own.example", place
        assert not place.lower().startswith("javascript:")


@pytest.mark.parametrize(
    ("password", "good"),
    [("short-one", False), ("elevenchars", False), ("password1234", False), ("alice-example", False),
     ("correct horse battery", True), ("x" * 128, False), ("only lower case words", True), ("éàü ðßŋ 漢字かな交", True)],
)  # fmt: skip
def test_passwords_are_long_uncommon_and_otherwise_free(alice: Any, password: str, good: bool) -> None:
    """S27: length and lists, no rules of composition. 128 times one letter is refused as no real password."""
    if password == "x" * 128:
        validate_password("y" + "az" * 63 + "q", alice)  # 128 characters are allowed
        return
    try:
        validate_password(password, alice)
        accepted = True
    except ValidationError:
        accepted = False
    assert accepted is good


def test_passwords_are_kept_with_argon2() -> None:
    """S27"""
    assert base.PASSWORD_HASHERS[0].endswith("Argon2PasswordHasher")


def test_a_new_password_ends_other_sessions_and_so_does_disabling(alice: Any) -> None:
    """S29"""
    here, there = Client(), Client()
    for client in (here, there):
        client.force_login(alice)
    form = {"old": PASSWORD, "new": "another long passphrase", "again": "another long passphrase"}
    assert here.post("/account/password/", form).status_code == 303
    assert here.get("/about/").status_code == 200 and there.get("/about/").status_code == 302
    type(alice).objects.filter(pk=alice.pk).update(is_active=False)
    assert here.get("/about/").status_code == 302


def test_text_of_others_is_only_ever_text(boss: Client, settings: Any) -> None:
    """S11: markup in names, reasons and messages reaches the page escaped."""
    settings.TRADING_FEED = "replay"
    now = clock.now()
    account = kit.account(name=XSS[:60], is_demo=False, broker="binance", mode="paper")
    Discrepancy.objects.create(
        account=account,
        kind="balance",
        subject=XSS[:70],
        ours=XSS[:60],
        theirs=XSS[:60],
        first_seen_at=now,
        last_seen_at=now,
    )
    alerts.raise_alert(
        key="x", code="no-such-code", severity="warning", subject=XSS, params={"why": XSS}, now=now
    )
    audit.record(action="x", actor=audit.Actor("user", "1", XSS[:100]), reason=XSS, before={"a": XSS})
    kit.run(now)
    Workflow.objects.update(name=XSS[:100], asset_type="toy", status_reason=XSS[:60])
    shown = 0
    for path in (
        "/alerts/", "/audit/", "/settings/brokers/", "/trading/reconciliation/", "/trading/positions/", "/risk/", "/workflows/",
        "/", f"/settings/live/{account.pk}/", f"/settings/brokers/{account.pk}/key/", "/health/", "/settings/security/",
    ):  # fmt: skip
        html = boss.get(path, headers={"User-Agent": XSS}).content.decode()
        assert "<script>alert" not in html and "<img src=x" not in html and ">49<" not in html, path
        shown += "&lt;script&gt;alert" in html
    assert shown >= 5


SECRET_PLACES = (
    "/.git/config", "/.git/HEAD", "/.env", "/manage.py", "/db.sqlite3", "/var/db.sqlite3", "/var/secret.key",
    "/static/../manage.py", "/static/%2e%2e/manage.py", "/static/..%2fmanage.py", "/static/", "/static/css/", "/media/",
    "/static/../.env", "/server-status", "/.well-known/", "/backup.zip", "/requirements.txt", "/pyproject.toml",
)  # fmt: skip


@pytest.mark.parametrize("path", SECRET_PLACES)
def test_neither_source_nor_keys_nor_directories_are_served(boss: Client, path: str) -> None:
    """S59"""
    answer = boss.get(path)
    assert answer.status_code in (301, 302, 400, 403, 404), path


def test_trace_is_off(boss: Client) -> None:
    """S59"""
    assert boss.generic("TRACE", "/").status_code in (403, 405)


def test_the_api_takes_json_only_one_megabyte_at_most_and_shares_with_no_other_site(alice: Any) -> None:
    """S56"""
    client = Client(headers={"Authorization": f"Token {token_for(alice, 'admin')}"})
    form = client.post("/api/orders/", {"symbol": "X"}, headers={"Idempotency-Key": "a" * 16})
    assert form.status_code in (400, 415)
    text = client.post("/api/orders/", "x", content_type="text/plain", headers={"Idempotency-Key": "b" * 16})
    assert text.status_code in (400, 415)
    big = json.dumps({"symbol": "X" * 1_100_000})
    answer = client.post(
        "/api/orders/", big, content_type="application/json", headers={"Idempotency-Key": "c" * 16}
    )
    assert answer.status_code == 413
    asked = client.options(
        "/api/orders/", headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    )
    got = client.get("/api/orders/", headers={"Origin": "https://evil.example"})
    assert not any(
        name.lower().startswith("access-control-") for found in (asked, got) for name in found.headers
    )


def test_production_has_safe_cookies_and_https(tmp_path: Path) -> None:
    """S13, S14"""
    names = (
        "SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SESSION_COOKIE_HTTPONLY", "SECURE_HSTS_SECONDS",
        "SECURE_HSTS_INCLUDE_SUBDOMAINS", "SECURE_SSL_REDIRECT",
    )  # fmt: skip
    text = "; ".join(f"print(s.{name})" for name in names)
    done = load(
        f"tradingsite.settings.production as s; {text}; import tradingsite.settings.production",
        tmp_path,
        **GOOD,
    )
    values = done.stdout.split()[:6]
    assert values[:3] == ["True"] * 3 and int(values[3]) >= 31_536_000 and values[4:] == ["True"] * 2, (
        done.stderr
    )
    assert django_settings.SESSION_COOKIE_SAMESITE in ("Lax", "Strict")


def test_the_live_flag_is_off_unless_somebody_sets_it(tmp_path: Path) -> None:
    """S50: paper is the default of a production start."""
    done = load(
        "tradingsite.settings.production as s; print(s.LIVE_TRADING_ENABLED); import tradingsite.settings.production",
        tmp_path, **GOOD,
    )  # fmt: skip
    assert done.stdout.split()[0] == "False", done.stderr


@pytest.mark.parametrize("name", ["TRADING_BINANCE_URL", "TRADING_ALPACA_URL"])
def test_real_money_goes_only_to_the_venues_own_hosts(tmp_path: Path, name: str) -> None:
    """S24: the stand-ins of the tests and real money exclude each other in production."""
    stand_in = {name: "https://evil.example"}
    assert load("tradingsite.settings.production", tmp_path, **GOOD, **stand_in).returncode == 0
    live = load("tradingsite.settings.production", tmp_path, **GOOD, **stand_in, TRADING_LIVE_ENABLED="True")
    assert live.returncode != 0 and name in live.stderr
