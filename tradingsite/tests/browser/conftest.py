"""A seeded server, an empty server, and pages that note every violation, error and foreign request."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from tradingsite.foundation.testkit import PASSWORD, tool_missing

sync_api = pytest.importorskip("playwright.sync_api")

_NOTE_VIOLATIONS = """
window.__violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.__violations.push(event.violatedDirective + " " + event.blockedURI + " " + event.sourceFile));
"""


def chromium_path() -> str:
    """The system's Chromium; the tests skip where there is none."""
    for name in ("chromium", "chromium-headless-shell", "chromium-browser", "google-chrome"):
        found = shutil.which(name)
        if found:
            return found
    tool_missing("no Chromium on this machine")


@dataclass
class Server:
    """A running site. `url` has no trailing slash."""

    url: str
    process: Any
    environment: dict[str, str]
    var_dir: Path

    def python(self, code: str) -> str:
        """Run code inside the site (django set up) and return what it printed."""
        command = [sys.executable, "-c", f"import django; django.setup()\n{code}"]
        done = subprocess.run(
            command,
            env=self.environment,
            cwd=settings.BASE_DIR,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _environment(suffix: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("TRADING_")}
    return kept | {
        "DJANGO_SETTINGS_MODULE": "tradingsite.settings.test",
        "TEST_DB_SUFFIX": suffix,
        "PYTHONPATH": str(settings.BASE_DIR),
    }


def _run(environment: dict[str, str], *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=settings.BASE_DIR, capture_output=True, text=True, timeout=600,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


def _serve(name: str, seed: bool) -> Iterator[Server]:
    suffix = f"browser-{name}-{os.getpid()}"
    environment = _environment(suffix)
    _run(environment, "manage.py", "compile_translations")
    _run(environment, "manage.py", "migrate", "-v0")
    if seed:
        _run(environment, "-m", "tradingsite.tests.browser.seed")
    var_dir = Path(settings.VAR_DIR).parent / f"tradingsite-test-{os.getuid()}-{suffix}"
    port = _free_port()
    command = [sys.executable, "manage.py", "runserver", "--noreload", "--nostatic", f"127.0.0.1:{port}"]
    log = (var_dir / "server.log").open("w")
    process = subprocess.Popen(command, env=environment, cwd=settings.BASE_DIR, stdout=log, stderr=log)
    server = Server(f"http://127.0.0.1:{port}", process, environment, var_dir)
    try:
        _wait(server)
        yield server
    finally:
        process.terminate()
        process.wait(timeout=20)
        log.close()
        shutil.rmtree(var_dir, ignore_errors=True)


def _wait(server: Server) -> None:
    for _attempt in range(300):
        try:
            urllib.request.urlopen(f"{server.url}/static/css/tokens.css", timeout=2)
            return
        except (urllib.error.URLError, OSError):
            assert server.process.poll() is None, "the server ended"
            time.sleep(0.1)
    raise AssertionError("the server did not answer")


@pytest.fixture(scope="session")
def site() -> Iterator[Server]:
    """A server with half an hour of history."""
    yield from _serve("seeded", seed=True)


@pytest.fixture(scope="session")
def empty_site() -> Iterator[Server]:
    """A server with a migrated, empty database."""
    yield from _serve("empty", seed=False)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-quic"]
        running = playwright.chromium.launch(executable_path=chromium_path(), args=arguments)
        yield running
        running.close()


@dataclass
class Watched:
    """A browser page and what went wrong on it."""

    page: Any
    own: str
    foreign: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    statuses: dict[str, list[int]] = field(default_factory=dict)

    def go(self, path: str) -> Any:
        return self.page.goto(self.own + path)

    def login(self, name: str) -> None:
        self.go("/login/")
        self.page.fill("#f-username", name)
        self.page.fill("#f-password", PASSWORD)
        self.page.click("main button.btn-main")
        self.page.wait_for_url(lambda url: "/login/" not in url)

    def violations(self) -> list[str]:
        return list(self.page.evaluate("window.__violations || []"))


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Watched]]:
    """open_page(server, width=1280, ...) -> Watched; everything is closed afterwards."""
    contexts: list[Any] = []

    def make(server: Server, *, width: int = 1280, height: int = 800, **options: Any) -> Watched:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        context.set_default_timeout(90_000)  # a busy machine is slow, not wrong
        context.add_init_script(_NOTE_VIOLATIONS)
        contexts.append(context)
        page = context.new_page()
        watched = Watched(page, server.url)

        def on_request(request: Any) -> None:
            watched.requests.append((request.method, request.url))
            if not request.url.startswith((server.url, "data:", "blob:")):
                watched.foreign.append(request.url)

        page.on("request", on_request)
        page.on("response", lambda answer: watched.statuses.setdefault(answer.url, []).append(answer.status))
        page.on("pageerror", lambda error: watched.errors.append(str(error)))
        return watched

    yield make
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def paths(site: Server) -> list[str]:
    """Every page of the seeded site, with real ids."""
    code = """
from orchestrator.models import Decision, Run, Workflow
from assets.markets.models import Instrument
from assets.trading.models import Order
first = lambda rows: rows.values_list("pk", flat=True).first()
order = first(Order.objects)
found = ["/", "/decisions/", f"/decisions/{first(Decision.objects)}/", "/workflows/"]
pk = first(Workflow.objects.exclude(asset_type=""))
found += [f"/workflows/{pk}/", f"/workflows/{pk}/edit/", "/runs/", f"/runs/{first(Run.objects)}/", "/control/", "/health/"]
found += ["/instruments/", f"/instruments/{first(Instrument.objects.filter(is_demo=True, asset_type='meme_coins'))}/"]
found += ["/trading/positions/", "/trading/orders/", "/trading/trades/", "/alerts/", "/audit/", "/audit/check/"]
found += ["/help/", "/about/", "/settings/profile/", "/account/password/", "/setup/look/", "/setup/start/", "/nothing-here/"]
found += [f"/trading/orders/{order}/"] if order else []
found += [f"/assets/{key}/" for key in ("meme_coins", "crypto_lt", "forex", "etf")]
found += [f"/assets/meme_coins/?tab={tab}" for tab in ("instruments", "positions", "runs", "settings")]
print("\\n".join(found))
"""
    return site.python(code).splitlines()
