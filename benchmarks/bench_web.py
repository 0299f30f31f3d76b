"""Time to first byte of every page, polled fragment (200 and 204) and API list, and the queries each page makes.

    python benchmarks/bench_web.py [--rounds 20] [--candles 100000] [--trades 10000] [--decisions 20000] [--json FILE]

A fresh SQLite database is filled (fill.py), gunicorn is started as `manage.py run` starts it, requests come one after the
other from a signed-in session. Addresses are read from the URL resolver, so a new page is measured without being named.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import common
from benchmarks.browsing import Browser, answers
from benchmarks.common import Figure, Processes, percentile, say

PAGE, FRAGMENT, UNCHANGED, API = "page", "fragment", "unchanged (204)", "API list"
BUDGET_MS = {PAGE: 300.0, FRAGMENT: 100.0, UNCHANGED: 20.0, API: 300.0}
QUERY_BUDGET = 15
WARM_UP = 2
CPU_ROUNDS = 3
_NO_PAGE = ("backoffice/", "api/docs", "api/schema", "healthz", "readyz")
_VERSION = re.compile(r"[?&](?:amp;)?v=([0-9a-f]{16})")
_CONVERTER = re.compile(r"<(?:\w+:)?(\w+)>")
API_READS = 100  # a minute and user are allowed 120: each list is read by a user of its own
FURTHER = (
    "decisions/?page=50",
    "runs/?page=50",
    "trading/trades/?page=50",
    "trading/orders/?page=50",
    "/?range=all",
)


@dataclass
class Measured:
    """One address."""

    kind: str
    path: str
    ms: list[float] = field(default_factory=list)
    queries: int | None = None
    cpu_ms: float = 0.0  # one request in process, best of a few: little disturbed by other programs
    slowest_sql: str = ""

    def quantile(self, share: float) -> float:
        return percentile(self.ms, share)

    @property
    def is_over(self) -> bool:
        too_slow = self.quantile(0.95) > BUDGET_MS[self.kind]
        return too_slow or (self.kind == PAGE and (self.queries or 0) > QUERY_BUDGET)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--candles", type=int, default=100_000)
    parser.add_argument("--trades", type=int, default=10_000)
    parser.add_argument("--decisions", type=int, default=20_000)
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    common.stop_in_order()
    with common.scratch("web") as folder, Processes(folder) as processes:
        env = common.environment(folder / "var")
        os.environ.clear()
        os.environ.update(env)
        made = prepare(options)
        sessions = [sign_in(f"reader{i}") for i in range(40)]
        port = serve(processes, env)
        measured, skipped = measure(made, port, sessions, min(options.rounds, API_READS - WARM_UP - 2))
        look_inside(measured, sessions[0])
    say(report(measured, skipped))
    common.publish(
        figures(measured), options.json, {"addresses": [_row(m) for m in measured], "skipped": skipped}
    )
    return 0


def prepare(options: argparse.Namespace) -> Any:
    """Migrate and fill the database of this process's settings."""
    import django
    from django.core.management import call_command

    django.setup()
    began = time.perf_counter()
    call_command("migrate", verbosity=0, interactive=False)
    from benchmarks.fill import fill

    made = fill(options.candles, options.trades, options.decisions)
    say(f"filled in {time.perf_counter() - began:.0f} s: {made.candles:,} candles, {made.trades:,} trades, "
        f"{made.decisions:,} decisions, {made.runs:,} runs")  # fmt: skip
    return made


def sign_in(name: str) -> str:
    """A session of a new administrator, as the login view would make it (logging in is throttled, on purpose)."""
    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
    from django.contrib.sessions.backends.db import SessionStore

    from tradingsite.foundation.models import UserProfile

    user = get_user_model()._default_manager.create_user(username=name)
    user.set_unusable_password()
    user.save()
    UserProfile.objects.create(user=user, role="admin")
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    return str(session.session_key)


def serve(processes: Processes, env: Mapping[str, str]) -> int:
    """Start the web server exactly as `manage.py run` does."""
    from django.conf import settings

    from tradingsite.management import tree

    if not (Path(settings.STATIC_ROOT) / "staticfiles.json").exists():
        common.manage(env, "collectstatic", "--noinput", "--verbosity", "0")
    port = common.free_port()
    web = next(child for child in tree.processes(f"127.0.0.1:{port}") if child.name == "web")
    processes.start("web", web.command, {**env, **web.environment})
    until = time.perf_counter() + 60
    while not answers(port):
        processes.require_alive()
        if time.perf_counter() > until:
            raise RuntimeError(f"the web server does not answer:\n{processes.log('web')}")
        time.sleep(0.2)
    return port


# --- Addresses -----------------------------------------------------------------------------------------------


def addresses(made: Any) -> Iterator[tuple[str, str]]:
    """(kind, path) of everything that might be a page, a fragment or a list; the answer decides about the rest."""
    from tradingsite.tests.api_routes import patterns
    from tradingsite.tests.filled import address

    for route, _pattern in patterns():
        if "^" in route or "\\" in route or route.startswith(_NO_PAGE) or route.endswith(".csv"):
            continue
        if route.startswith("api/"):
            if not _CONVERTER.search(route) and route.endswith("/"):  # both slash forms are one view
                yield API, "/" + route
        else:
            yield (FRAGMENT if route.startswith("ui/") else PAGE), address(route, made)
    yield API, f"/api/candles/?instrument={made.symbol}&tf=1m&limit=500"
    for path in FURTHER:
        yield PAGE, "/" + path.lstrip("/")


# --- Measuring -----------------------------------------------------------------------------------------------


def measure(
    made: Any, port: int, sessions: Sequence[str], rounds: int
) -> tuple[list[Measured], dict[str, int]]:
    """Every address that answers a GET with 200; the others and what they answer."""
    from django.conf import settings

    browsers = [Browser(port, {settings.SESSION_COOKIE_NAME: key}) for key in sessions]
    person, readers = browsers[0], iter(browsers[1:])
    found: dict[tuple[str, str], Measured] = {}
    skipped: dict[str, int] = {}
    for kind, path in addresses(made):
        browser = next(readers) if kind == API else person
        first = browser.get(path)
        if first.status != 200 or (kind == API and not _is_list(first.body)):
            skipped[path] = first.status
            continue
        found.setdefault((kind, path), Measured(kind, path)).ms += _times(browser, path, 200, rounds)
        version = _VERSION.search(first.body) if kind == FRAGMENT else None
        if version:
            same = f"{path}{'&' if '?' in path else '?'}v={version[1]}"
            if browser.get(same).status == 204:
                found[UNCHANGED, path] = Measured(UNCHANGED, same, _times(browser, same, 204, rounds))
            else:
                skipped[same] = browser.get(same).status
    for browser in browsers:
        browser.close()
    return sorted(found.values(), key=lambda m: (list(BUDGET_MS).index(m.kind), m.path)), skipped


def _is_list(body: str) -> bool:
    """A list of rows, or columns of them."""
    document = json.loads(body)
    return isinstance(document, list) or "results" in document or isinstance(document.get("ts"), list)


def _times(browser: Browser, path: str, expected: int, rounds: int) -> list[float]:
    times = []
    for turn in range(WARM_UP + rounds):
        answer = browser.get(path)
        if answer.status != expected:
            raise RuntimeError(f"{path} answered {answer.status} after {expected}:\n{answer.body[:500]}")
        if turn >= WARM_UP:
            times.append(answer.ttfb_ms)
    return times


def look_inside(measured: Sequence[Measured], session: str) -> None:
    """Queries and CPU time of warm requests through all middleware, in this process."""
    from django.conf import settings
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    client = Client(headers={"Host": "127.0.0.1"})
    client.cookies[settings.SESSION_COOKIE_NAME] = session
    for item in measured:
        client.get(item.path)
        with CaptureQueriesContext(connection) as queries:
            client.get(item.path)
        item.queries = len(queries)
        slowest = max(queries.captured_queries, key=lambda query: float(query["time"]), default=None)
        item.slowest_sql = f"{slowest['time']} s: {slowest['sql'][:600]}" if slowest else ""
        item.cpu_ms = min(_cpu_ms(client, item.path) for _ in range(CPU_ROUNDS))


def _cpu_ms(client: Any, path: str) -> float:
    began = time.process_time()
    client.get(path)
    return (time.process_time() - began) * 1000


# --- Output --------------------------------------------------------------------------------------------------


def _row(item: Measured) -> dict[str, Any]:
    return {**asdict(item), "ms": None, "p50": item.quantile(0.5), "p95": item.quantile(0.95)}


def report(measured: Sequence[Measured], skipped: Mapping[str, int]) -> str:
    lines = [f"\n{'kind':<16} {'p50 ms':>7} {'p95 ms':>7} {'CPU ms':>7} {'queries':>7}  address"]
    lines += [
        f"{m.kind:<16} {m.quantile(0.5):>7.1f} {m.quantile(0.95):>7.1f} {m.cpu_ms:>7.1f} {m.queries:>7}  {m.path}{'   OVER' if m.is_over else ''}"
        for m in measured
    ]
    lines.append(
        "\nnot measured: " + ", ".join(f"{path} ({status})" for path, status in sorted(skipped.items()))
    )
    return "\n".join(lines) + "\n"


def figures(measured: Sequence[Measured]) -> list[Figure]:
    """The worst address of each kind, and p95 over all of it."""
    made = []
    for kind, budget in BUDGET_MS.items():
        items = [m for m in measured if m.kind == kind]
        if not items:
            made.append(
                Figure(name=f"{kind} TTFB p95", ours=None, unit="ms", target=budget, note="none found")
            )
            continue
        worst = max(items, key=lambda m: m.quantile(0.95))
        over_all = percentile([ms for m in items for ms in m.ms], 0.95)
        made.append(
            Figure(name=f"{kind} TTFB p95, all {len(items)}", ours=over_all, unit="ms", target=budget)
        )
        made.append(
            Figure(
                name=f"{kind} TTFB p95, worst",
                ours=worst.quantile(0.95),
                unit="ms",
                target=budget,
                note=worst.path,
            )
        )
    pages = [m for m in measured if m.kind == PAGE]
    if pages:
        most = max(pages, key=lambda m: m.queries or 0)
        made.append(
            Figure(
                name="queries of a page, most",
                ours=most.queries,
                unit="",
                target=QUERY_BUDGET,
                note=most.path,
            )
        )
    return made


if __name__ == "__main__":
    sys.exit(main())
