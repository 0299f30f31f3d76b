"""What the pages do: polling, sessions, roles, the switch, the workflow form, the chart, the keyboard."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tradingsite.foundation.testkit import PASSWORD

pytestmark = pytest.mark.timeout(900)

Open = Callable[..., Any]


def workflow_pk(site: Any) -> int:
    return int(
        site.python(
            "from orchestrator.models import Workflow; print(Workflow.objects.get(slug='meme_coins').pk)"
        )
    )


def tick(page: Any, name: str = "app:fast") -> None:
    page.evaluate("(name) => document.body.dispatchEvent(new CustomEvent(name))", name)


def test_polling_answers_204_and_keeps_the_nodes(site: Any, open_page: Open) -> None:
    watched = open_page(site)
    watched.login("alice")
    watched.go("/workflows/")
    watched.page.evaluate("document.getElementById('workflow-rows').__mine = true")
    with watched.page.expect_response(lambda answer: "/ui/workflows/rows/" in answer.url) as info:
        tick(watched.page)
    assert info.value.status == 204
    assert watched.page.evaluate("document.getElementById('workflow-rows').__mine") is True


def test_a_change_arrives_without_a_reload(site: Any, open_page: Open) -> None:
    pk = workflow_pk(site)
    watched = open_page(site)
    watched.login("alice")
    watched.go(f"/workflows/{pk}/")
    watched.page.evaluate("window.__same = true")
    act = (
        "from orchestrator.services import workflows as w; from tradingsite.foundation import audit, clock\n"
    )
    try:
        site.python(act + f"w.pause({pk}, audit.cli('t'), clock.now())")
        tick(watched.page)
        watched.page.wait_for_selector("#workflow-header .tone-warn")
        assert watched.page.evaluate("window.__same") is True
    finally:
        site.python(act + f"w.resume({pk}, audit.cli('t'), clock.now())")


def test_a_hidden_or_paused_page_does_not_poll(site: Any, open_page: Open) -> None:
    watched = open_page(site)
    watched.login("alice")
    watched.go("/workflows/")
    watched.page.evaluate("document.body.dataset.updates = 'off'")
    watched.page.wait_for_timeout(300)
    before = len(watched.requests)
    watched.page.wait_for_timeout(7000)
    assert watched.requests[before:] == []


def test_a_lost_session_sends_the_whole_page_to_the_login(site: Any, open_page: Open) -> None:
    watched = open_page(site)
    watched.login("alice")
    watched.go("/decisions/?range=day")
    watched.page.context.clear_cookies()
    tick(watched.page)
    watched.page.wait_for_url("**/login/?next=**")
    watched.page.fill("#f-username", "alice")
    watched.page.fill("#f-password", PASSWORD)
    watched.page.click("main button.btn-main")
    watched.page.wait_for_url("**/decisions/?range=day")


def test_a_lost_server_is_said_and_locks_the_controls(site: Any, open_page: Open) -> None:
    watched = open_page(site)
    watched.login("alice")
    watched.go("/workflows/")
    watched.page.route("**/ui/**", lambda route: route.abort())
    for _miss in range(3):
        tick(watched.page)
        watched.page.wait_for_timeout(5200)
        if watched.page.locator("#offline").is_visible():
            break
    watched.page.wait_for_selector("#offline:visible", timeout=20_000)
    assert watched.page.locator("form.needs-connection button").first.is_disabled()
    watched.page.unroute("**/ui/**")
    watched.page.wait_for_selector("#offline", state="hidden", timeout=20_000)
    assert watched.page.locator("form.needs-connection button").first.is_enabled()


def test_wrong_passwords_get_one_text_and_focus(site: Any, open_page: Open) -> None:
    watched = open_page(site)
    texts = set()
    for name in ("alice", "nobody-here"):
        watched.go("/login/")
        watched.page.fill("#f-username", name)
        watched.page.fill("#f-password", "not the password")
        watched.page.click("main button.btn-main")
        watched.page.wait_for_selector("[role=alert]")
        texts.add(watched.page.inner_text("[role=alert]"))
        assert watched.page.evaluate("document.activeElement.getAttribute('role')") == "alert"
    assert len(texts) == 1


def test_a_viewer_sees_why_a_control_is_disabled_and_the_server_refuses(site: Any, open_page: Open) -> None:
    pk = workflow_pk(site)
    watched = open_page(site)
    watched.login("charlie")
    watched.go(f"/workflows/{pk}/")
    buttons = watched.page.locator("main form.needs-connection button")
    assert buttons.count() > 0
    for button in buttons.all():
        assert button.is_disabled()
        assert "role" in (button.get_attribute("title") or "")
    token = watched.page.input_value("main input[name=csrfmiddlewaretoken] >> nth=0")
    answer = watched.page.request.post(
        f"{site.url}/workflows/{pk}/pause/",
        form={"csrfmiddlewaretoken": token},
        headers={"Referer": site.url},
    )
    assert answer.status == 403
    code = (
        "from tradingsite.foundation.models import AuditEvent as A;"
        "print(A.objects.filter(action='permission.refused', actor_name='charlie').count())"
    )
    assert int(site.python(code)) >= 1


def test_stopping_takes_two_interactions_and_starting_asks_why(site: Any, open_page: Open) -> None:
    watched = open_page(site)
    watched.login("bob")
    watched.go("/workflows/")
    watched.page.keyboard.press("Shift+K")
    watched.page.wait_for_selector("#control-dialog[open]")
    text = watched.page.inner_text("#control-dialog")
    for verb in ("Pause entries", "Drain", "Stop"):
        assert verb in text
    assert watched.page.is_checked("#control-dialog input[value=paused]")
    assert watched.page.inner_text("#control-dialog .btn-danger") == "Pause entries"
    try:
        watched.page.check("#control-dialog input[value=stopped]")
        assert watched.page.inner_text("#control-dialog .btn-danger") == "Stop"
        watched.page.click("#control-dialog .btn-danger")
        watched.page.wait_for_selector("#frame-banner .banner-bad")
        code = "from orchestrator.services import control; print(control.current().position.value)"
        assert site.python(code) == "stopped"
        watched.page.click("[data-switch]")
        watched.page.wait_for_selector("#control-dialog[open]")
        watched.page.fill("#control-reason", "the test is over")
        watched.page.click("#control-dialog .dialog-foot .btn-main")
        watched.page.locator("[data-switch].btn-danger").wait_for()
        assert site.python(code) == "running"
    finally:
        site.python(
            "from orchestrator.services import control; from tradingsite.foundation import audit, clock\n"
            "control.start(audit.cli('t'), clock.now(), 't')"
        )


def test_two_tabs_editing_end_in_a_conflict_that_loses_nothing(site: Any, open_page: Open) -> None:
    pk = workflow_pk(site)
    first, second = open_page(site), open_page(site)
    for watched in (first, second):
        watched.login("bob")
        watched.go(f"/workflows/{pk}/edit/")
    first.page.fill("#f-name", "Meme coins A")
    first.page.click("#workflow-form .btn-main")
    first.page.wait_for_url(f"**/workflows/{pk}/")
    second.page.fill("#f-name", "Meme coins B")
    with second.page.expect_response(
        lambda answer: answer.url.endswith("/edit/") and answer.request.method == "POST"
    ) as info:
        second.page.click("#workflow-form .btn-main")
    assert info.value.status == 409
    shown = second.page.inner_text(".errors")
    assert "Meme coins A" in shown and "Meme coins B" in shown
    assert second.page.input_value("#f-name") == "Meme coins B"
    second.page.fill("#f-name", "Meme coins")
    second.page.click("#workflow-form .btn-main")
    second.page.wait_for_url(f"**/workflows/{pk}/")


def test_a_wrong_value_keeps_what_was_typed_and_says_where(site: Any, open_page: Open) -> None:
    pk = workflow_pk(site)
    watched = open_page(site)
    watched.login("bob")
    watched.go(f"/workflows/{pk}/edit/")
    watched.page.fill("#f-name", "Kept name")
    watched.page.fill("#f-base_interval_s", "1,234")
    with watched.page.expect_response(
        lambda answer: answer.url.endswith("/edit/") and answer.request.method == "POST"
    ) as info:
        watched.page.click("#workflow-form .btn-main")
    assert info.value.status == 422
    watched.page.wait_for_selector(".errors:focus")  # the answer is there before its page is
    assert watched.page.input_value("#f-name") == "Kept name"
    assert watched.page.get_attribute("#f-base_interval_s", "aria-invalid") == "true"
    watched.page.click(".errors a")
    assert watched.page.evaluate("document.activeElement.id || location.hash").endswith("f-base_interval_s")


def test_the_preview_follows_the_form(site: Any, open_page: Open) -> None:
    pk = workflow_pk(site)
    watched = open_page(site)
    watched.login("bob")
    watched.go(f"/workflows/{pk}/edit/")
    for name in ("min", "base", "max"):
        watched.page.fill(f"#f-{name}_interval_s", "7")
    watched.page.locator("#preview", has_text="7\u00a0min").wait_for()
    watched.page.fill("#f-min_interval_s", "9")
    watched.page.wait_for_selector("#preview.banner-warn")


def test_the_chart_is_drawn_and_its_legend_equals_the_data(
    site: Any, paths: list[str], open_page: Open
) -> None:
    path = next(path for path in paths if path.startswith("/instruments/") and path != "/instruments/")
    watched = open_page(site)
    watched.login("alice")
    with watched.page.expect_response(lambda answer: "/data/" in answer.url) as info:
        watched.go(f"{path}?tf=1m")
    data = info.value.json()
    watched.page.wait_for_selector("[data-candles][data-ready]")
    assert len(data["ts"]) > 100
    colours = watched.page.evaluate(
        """() => { const seen = new Set();
        for (const canvas of document.querySelectorAll('[data-candles] canvas')) {
          const context = canvas.getContext('2d'); if (!canvas.width) continue;
          const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
          for (let i = 0; i < pixels.length; i += 404) seen.add(pixels[i] + ',' + pixels[i + 1] + ',' + pixels[i + 2]); }
        return seen.size; }"""
    )
    assert colours > 5
    watched.page.focus("[data-candles]")
    watched.page.keyboard.press("End")
    watched.page.keyboard.press("ArrowLeft")
    shown = json.loads(watched.page.get_attribute("#chart-legend", "data-ohlc"))
    at = data["ts"].index(int(watched.page.get_attribute("#chart-legend", "data-ts")))
    assert at == len(data["ts"]) - 2
    assert shown == [data[name][at] for name in ("open", "high", "low", "close", "volume")]
    watched.page.evaluate("document.querySelector('[data-candles]').blur()")
    watched.page.keyboard.press("4")
    watched.page.wait_for_url("**tf=1h")


def test_the_theme_changes_without_a_reload_and_stays(site: Any, open_page: Open) -> None:
    watched = open_page(site, color_scheme="light")
    watched.login("charlie")
    watched.go("/help/")
    background = "getComputedStyle(document.body).backgroundColor"
    light = watched.page.evaluate(background)
    with watched.page.expect_response(lambda answer: "/settings/look/" in answer.url):
        watched.page.keyboard.press("t")
    assert watched.page.evaluate(background) != light
    watched.go("/about/")
    assert watched.page.get_attribute("html", "data-theme") == "dark"


def test_the_keyboard_reaches_and_leaves_everything(site: Any, open_page: Open) -> None:
    watched = open_page(site)
    watched.login("bob")
    watched.go("/workflows/")
    page = watched.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.classList.contains('skip')")
    page.focus("[data-switch]")
    page.keyboard.press("Enter")
    page.wait_for_selector("#control-dialog[open]")
    page.keyboard.press("Escape")
    page.wait_for_selector("#control-dialog", state="hidden")
    assert page.evaluate("document.activeElement.hasAttribute('data-switch')")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("g")
    page.keyboard.press("d")
    page.wait_for_url("**/decisions/")
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.hasAttribute('data-row')")
    page.keyboard.press("Enter")
    page.wait_for_url("**/decisions/*/")


def test_small_targets_are_large_enough(site: Any, open_page: Open) -> None:
    watched = open_page(site)
    watched.login("bob")
    small = {}
    for path in ("/", "/workflows/", "/alerts/", "/control/"):
        watched.go(path)
        found = watched.page.evaluate(
            """() => [...document.querySelectorAll('button, select, input:not([type=hidden])')]
            .filter((node) => node.offsetParent !== null)
            .map((node) => [node.outerHTML.slice(0, 80), node.getBoundingClientRect()])
            .filter(([, box]) => box.width < 24 || box.height < 24).map(([html]) => html)"""
        )
        if found:
            small[path] = found
    assert small == {}
