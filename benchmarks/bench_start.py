"""`make run` as a newcomer sees it: time to the login page, to a moving dashboard, memory and CPU of the whole tree.

    python benchmarks/bench_start.py [--settle 60] [--idle 30] [--install] [--json FILE]

Starts `manage.py run` on an empty var directory, walks through the set-up in the browser's place (administrator, look,
start), waits for the first run to succeed and for the simulated feed to move the dashboard, then lets the system work
undisturbed and adds up the memory (PSS) and CPU time of all its processes. `--install` first clones the committed
project into a temporary directory and times `make setup` there; the system measured is then that one.
"""

from __future__ import annotations

import argparse
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import common
from benchmarks.browsing import Browser, answers
from benchmarks.common import ROOT, Figure, Processes, say

START_TARGET_S, INSTALL_TARGET_S, MEMORY_TARGET_MB = 20.0, 300.0, 700.0
PATIENCE_S = 180.0
PASSWORD = "an hour glass of sand"  # noqa: S105 - of a system that lives for two minutes
_VERSION = re.compile(r"overview/(?:top|assets|activity)/\?v=([0-9a-f]{16})")


@dataclass(kw_only=True)
class Times:
    """Seconds since the command was started."""

    served: float = 0.0  # first answer of the web server: the set-up page
    dashboard: float = 0.0  # first overview after the set-up
    moving: float = 0.0  # the overview changed by itself
    first_run: float = 0.0  # the first run has succeeded


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--settle", type=float, default=60.0, help="seconds before memory is measured")
    parser.add_argument("--idle", type=float, default=30.0, help="seconds over which CPU time is measured")
    parser.add_argument("--install", action="store_true")
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    common.stop_in_order()
    figures: list[Figure] = []
    with common.scratch("start") as folder:
        home, install_s = ROOT, 0.0
        if options.install:
            home, install_s = install(folder)
        with Processes(folder) as processes:
            pid, port, began = start(processes, home, folder)
            times = observe(processes, port, folder / "var" / "db.sqlite3", began)
            figures += start_figures(times, install_s if options.install else None)
            time.sleep(max(0.0, options.settle - (time.perf_counter() - began - times.first_run)))
            processes.require_alive()
            figures += idle_figures(pid, options.idle)
    common.publish(figures, options.json, {"times": times.__dict__, "install_s": install_s})
    return 0


def install(folder: Path) -> tuple[Path, float]:
    """`git clone` and `make setup`; returns the clone and the seconds both took."""
    clone = folder / "clone"
    began = time.perf_counter()
    for command in (["git", "clone", "--quiet", str(ROOT), str(clone)], ["make", "-C", str(clone), "setup"]):
        done = subprocess.run(
            command,
            env=common.environment(folder / "install-var"),
            capture_output=True,
            text=True,
            timeout=1800,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{(done.stderr or done.stdout)[-2000:]}")
    seconds = time.perf_counter() - began
    say(f"cloned and set up in {seconds:.0f} s")
    return clone, seconds


def start(processes: Processes, home: Path, folder: Path) -> tuple[int, int, float]:
    """`manage.py run` on an empty var directory: (pid, port, instant)."""
    python = home / ".venv" / "bin" / "python"
    port = common.free_port()
    env = common.environment(folder / "var", PYTHONPATH="")
    if not (home / "static-collected" / "staticfiles.json").exists():
        common.manage(env, "collectstatic", "--noinput", "--verbosity", "0")  # part of `make setup`
    began = time.perf_counter()
    command = [
        python if python.exists() else sys.executable,
        home / "manage.py",
        "run",
        "--bind",
        f"127.0.0.1:{port}",
    ]
    return processes.start("run", command, env, cwd=home).pid, port, began


def observe(processes: Processes, port: int, database: Path, began: float) -> Times:
    """Be the newcomer: wait for the page, set up, look at the dashboard until it moves and something has run."""
    times = Times()

    def since() -> float:
        return time.perf_counter() - began

    def wait(what: str, condition: Callable[[], bool]) -> float:
        while not condition():
            processes.require_alive()
            if since() > PATIENCE_S:
                raise RuntimeError(
                    f"{what} did not happen within {PATIENCE_S:.0f} s:\n{processes.log('run')}"
                )
            time.sleep(0.1)
        return since()

    times.served = wait("a served page", lambda: answers(port, "/setup/"))
    browser = Browser(port)
    browser.submit("/setup/", username="newcomer", email="", password=PASSWORD)
    answer = browser.submit("/setup/start/", begin="now")
    if answer.status != 303:
        raise RuntimeError(f"the set-up answered {answer.status}:\n{answer.body[:1000]}")
    page = browser.get("/")
    if page.status != 200:
        raise RuntimeError(f"the overview answered {page.status}")
    times.dashboard = since()
    version = _VERSION.search(page.body)
    if version is None:
        raise RuntimeError("the overview names no version to ask for")
    times.moving = wait(
        "a change of the overview", lambda: browser.get(f"/ui/overview/assets/?v={version[1]}").status == 200
    )
    times.first_run = wait("the first run", lambda: succeeded(database) > 0)
    browser.close()
    return times


def succeeded(database: Path) -> int:
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)
    try:
        row = connection.execute(
            "SELECT COUNT(*) FROM orchestrator_run WHERE status = 'succeeded'"
        ).fetchone()
    finally:
        connection.close()
    return int(row[0])


def start_figures(times: Times, install_s: float | None) -> list[Figure]:
    total = Figure(
        name="clone, setup, run to moving dashboard",
        ours=None,
        unit="s",
        target=INSTALL_TARGET_S,
        note="use --install",
    )
    if install_s is not None:
        total = Figure(
            name=total.name, ours=install_s + times.moving, unit="s", target=INSTALL_TARGET_S,
            note=f"installation {install_s:.0f} s",
        )  # fmt: skip
    return [
        total,
        Figure(name="run to first page", ours=times.served, unit="s", target=START_TARGET_S),
        Figure(
            name="run to dashboard",
            ours=times.dashboard,
            unit="s",
            target=START_TARGET_S,
            note="set-up included",
        ),
        Figure(name="run to moving dashboard", ours=times.moving, unit="s", target=START_TARGET_S),
        Figure(name="run to first succeeded run", ours=times.first_run, unit="s"),
    ]


def idle_figures(pid: int, seconds: float) -> list[Figure]:
    """Memory and CPU of the whole tree while the simulated feed runs and nobody looks."""
    members = common.family(pid)
    rows = sorted(((common.pss_mb([p]), _name(p)) for p in members), reverse=True)
    memory = sum(mb for mb, _name_ in rows)
    for mb, name in rows:
        say(f"{mb:>8.1f} MB  {name}")
    before, began = _cpu_s(pid), time.perf_counter()
    time.sleep(seconds)
    share = (_cpu_s(pid) - before) / (time.perf_counter() - began) * 100
    return [
        Figure(
            name="memory of the tree, PSS",
            ours=memory,
            unit="MB",
            target=MEMORY_TARGET_MB,
            note=f"{len(rows)} processes",
        ),
        Figure(name="idle CPU of the tree", ours=share, unit="% of a core"),
    ]


def _name(process: psutil.Process) -> str:
    try:
        return " ".join(part.rsplit("/", 1)[-1] for part in process.cmdline()[:6]) or process.name()
    except psutil.NoSuchProcess:
        return "(ended)"


def _cpu_s(pid: int) -> float:
    """CPU time of the tree so far, that of children which have ended included."""
    total = 0.0
    for process in common.family(pid):
        try:
            spent = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += spent.user + spent.system + spent.children_user + spent.children_system
    return total


if __name__ == "__main__":
    sys.exit(main())
