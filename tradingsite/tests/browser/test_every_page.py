"""What must hold on every page: policy, own origin only, accessibility, width, words."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from tradingsite.foundation.testkit import tool_missing

pytestmark = pytest.mark.timeout(900)

AXE = Path(settings.NODE_MODULES) / "axe-core" / "axe.min.js"
AXE_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
UNSAYABLE = re.compile(r"\b(NaN|None|undefined|Infinity|nan|null)\b")


def visible_text(page: Any) -> str:
    return str(page.evaluate("document.body.innerText"))


def test_no_page_breaks_the_policy_or_leaves_its_origin(
    site: Any, paths: list[str], open_page: Callable[..., Any]
) -> None:
    watched = open_page(site)
    watched.login("alice")
    for path in paths:
        watched.go(path)
        watched.page.wait_for_timeout(150)
        assert watched.violations() == [], path
        assert watched.errors == [], path
    assert watched.foreign == []


def axe_problems(page: Any) -> list[str]:
    page.evaluate(AXE.read_text(encoding="utf-8"))
    result = page.evaluate(
        "(tags) => axe.run(document, {runOnly: tags, resultTypes: ['violations']})", AXE_TAGS
    )
    return [
        f"{found['id']}: {node['target']} {node.get('failureSummary', '')[:160]}"
        for found in result["violations"]
        for node in found["nodes"][:3]
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(site: Any, paths: list[str], open_page: Callable[..., Any], theme: str) -> None:
    if not AXE.is_file():
        tool_missing("axe-core is not fetched")
    watched = open_page(site, color_scheme=theme, reduced_motion="reduce")
    watched.login("alice")
    found = {}
    for path in paths:
        watched.go(path)
        watched.page.wait_for_timeout(150)
        if problems := axe_problems(watched.page):
            found[path] = problems
    assert found == {}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_in_dialogs_and_before_login(
    site: Any, open_page: Callable[..., Any], theme: str
) -> None:
    if not AXE.is_file():
        tool_missing("axe-core is not fetched")
    watched = open_page(site, color_scheme=theme)
    watched.go("/login/")
    assert axe_problems(watched.page) == []
    watched.login("alice")
    watched.page.click("[data-switch]")
    watched.page.wait_for_selector("#control-dialog[open]")
    assert axe_problems(watched.page) == []
    watched.page.keyboard.press("Escape")
    watched.page.keyboard.press("?")
    watched.page.wait_for_selector("#keys[open]")
    assert axe_problems(watched.page) == []


@pytest.mark.parametrize("width", [320, 360, 768])
def test_no_page_scrolls_sideways(
    site: Any, paths: list[str], open_page: Callable[..., Any], width: int
) -> None:
    watched = open_page(site, width=width, height=740)
    watched.login("alice")
    wide = {}
    for path in paths:
        watched.go(path)
        over = watched.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        if over > 0:
            wide[path] = over
        if watched.page.locator("[data-switch]").count():
            assert watched.page.locator(".top .badge").is_visible(), path
            assert watched.page.locator("[data-switch]").is_visible(), path
    assert wide == {}


@pytest.mark.parametrize("language", ["en", "fr"])
def test_no_page_shows_a_programmers_word(
    site: Any, paths: list[str], open_page: Callable[..., Any], language: str
) -> None:
    watched = open_page(site, locale=language)
    watched.page.set_extra_http_headers({"Accept-Language": language})
    watched.login("charlie")
    found = {}
    for path in paths:
        watched.go(path)
        assert watched.page.get_attribute("html", "lang") == language
        if words := UNSAYABLE.findall(visible_text(watched.page)):
            found[path] = words
    assert found == {}


def test_in_french_no_attribute_holds_a_localised_number(
    site: Any, paths: list[str], open_page: Callable[..., Any]
) -> None:
    watched = open_page(site)
    watched.page.set_extra_http_headers({"Accept-Language": "fr"})
    watched.login("bob")
    pattern = re.compile(
        r"""(?:data-tick|href|hx-get|x|y|width|height|datetime)=["'][^"']*\d[\u00a0\u202f,]\d[^"']*["']"""
    )
    for path in paths:
        html = watched.go(path).text()
        assert pattern.findall(html) == [], path


def test_the_empty_site_gives_reasons_not_blanks(empty_site: Any, open_page: Callable[..., Any]) -> None:
    empty_site.python(
        "from tradingsite.foundation import setup\n"
        "from tradingsite.foundation.testkit import PASSWORD\n"
        "from django.contrib.auth import get_user_model\n"
        "get_user_model().objects.exists() or setup.create_first_admin(username='alice', password=PASSWORD)"
    )
    watched = open_page(empty_site)
    watched.login("alice")
    pages = [
        "/",
        "/decisions/",
        "/workflows/",
        "/runs/",
        "/instruments/",
        "/trading/positions/",
        "/trading/orders/",
    ]
    pages += [
        "/trading/trades/",
        "/alerts/",
        "/health/",
        "/audit/",
        "/assets/etf/",
        "/control/",
        "/setup/start/",
    ]
    for path in pages:
        assert watched.go(path).status == 200, path
        assert UNSAYABLE.findall(visible_text(watched.page)) == [], path
        for empty in watched.page.locator(".empty").all():
            assert len(empty.inner_text().strip()) > 15, path
            assert empty.locator("a, button").count() <= 1, path
