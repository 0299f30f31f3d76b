"""The first run, on a database of its own. Also what works without script."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tradingsite.foundation.testkit import PASSWORD
from tradingsite.tests.browser.conftest import Server, _serve

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def new_site() -> Iterator[Server]:
    yield from _serve("new", seed=False)


@pytest.mark.parametrize("script", [True])
def test_three_forms_lead_from_nothing_to_the_overview(
    new_site: Any, open_page: Callable[..., Any], script: bool
) -> None:
    watched = open_page(new_site, java_script_enabled=script, timezone_id="Europe/Paris")
    page = watched.page
    watched.go("/")
    assert page.url.endswith("/setup/")
    page.fill("#f-username", "alice")
    page.fill("#f-password", "short")
    page.click("main .btn-main")
    page.wait_for_selector(".errors")
    assert page.input_value("#f-username") == "alice"
    page.fill("#f-password", PASSWORD)
    page.click("main .btn-main")
    page.wait_for_url("**/setup/look/")
    assert page.input_value("#f-time_zone") == "Europe/Paris"
    page.click("main .btn-main")
    page.wait_for_url("**/setup/start/")
    page.click("main .btn-main")
    page.wait_for_url(new_site.url + "/")
    assert page.locator("#overview-assets tbody tr").count() == 4
    assert watched.go("/setup/").status == 404
    assert watched.violations() == []


def test_without_script_pages_show_tables_and_forms_work(
    site: Any, paths: list[str], open_page: Callable[..., Any]
) -> None:
    watched = open_page(site, java_script_enabled=False)
    page = watched.page
    watched.login("bob")
    for path in paths:
        answer = watched.go(path)
        assert answer.status in (200, 403, 404), path
    chart = next(path for path in paths if path.startswith("/instruments/") and path != "/instruments/")
    watched.go(chart)
    assert page.locator("details table tbody tr").count() >= 20
    watched.go("/control/")
    page.check("input[value=paused]")
    page.click("main form .btn-danger")
    page.wait_for_selector(".banner-info[role=status]")
    page.check("input[value=running]")
    page.click("main form .btn-danger")
    page.wait_for_selector(".banner-info[role=status]")
