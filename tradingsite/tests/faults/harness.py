"""A whole system in real processes, in its own directory and database, to be hurt and watched.

FAULT_LOGS names a directory that keeps the logs of these systems.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from tradingsite.tests.faults.databases import SERVER, Database

ROOT = Path(__file__).resolve().parents[3]
SLACK = float(
    os.environ.get("FAULT_SLACK", "1")
)  # on a machine that is busy with other things, times are stretched
FAST = {"run_lease_s": 6, "heartbeat_s": 2, "sweep_s": 1, "requeue_s": 3, "deadline_grace_s": 3}
RECOVERY_S = 45.0
_furnished: dict[str, str] = {}  # server -> directory or database to copy


class TimedOut(AssertionError):
    """A condition did not come true in time."""


class Refused(RuntimeError):
    """The agent could not answer."""


def wait_for(condition: Callable[[], Any], timeout: float, what: str = "") -> float:
    """Poll until `condition()` is true; returns the seconds it took. Raises TimedOut with the last answer."""
    began, last = time.monotonic(), None
    while True:
        last = condition()
        took = time.monotonic() - began
        if last:
            return took
        if took > timeout * SLACK:
            raise TimedOut(f"{what or condition} was not so within {timeout * SLACK:.0f} s: {last!r}")
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Agent:
    """Speaks with `agent.py`."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tradingsite.tests.faults.agent"], cwd=ROOT, env=environment, text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._answer(90)

    def ask(self, do: str, *args: Any, timeout: float = 90, **named: Any) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": do, "args": args, "with": named}) + "\n")
        self.process.stdin.flush()
        answer = self._answer(timeout)
        if "error" in answer:
            raise Refused(answer["error"])
        return answer["value"]

    def _answer(self, timeout: float) -> dict[str, Any]:
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], timeout * SLACK)
        if not ready:
            raise TimedOut("the agent does not answer")
        return dict(json.loads(self.process.stdout.readline()))

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


class System:
    """`manage.py run` in a directory of its own, with SQLite or its own database on the PostgreSQL the tests were given."""

    def __init__(
        self, *, orchestrator: dict[str, Any] | None = None, **environment: str,
    ) -> None:  # fmt: skip
        self.folder = Path(tempfile.mkdtemp(prefix="ts-fault-"))
        self.toys = self.folder / "toys"
        self.toys.mkdir()
        self.port = free_port()
        self.log = self.folder / "log"
        self.process: subprocess.Popen[bytes] | None = None
        self._agent: Agent | None = None
        self._spawned: set[tuple[int, float]] = set()
        self.database = Database(SERVER, self.folder.name) if SERVER else None
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("TRADING_", "DJANGO_", "CRASH_AT"))},
            "DJANGO_SETTINGS_MODULE": "tradingsite.tests.faults.settings",
            "TRADING_VAR_DIR": str(self.folder / "var"),
            "TRADING_BIND": f"127.0.0.1:{self.port}",
            "TRADING_DEBUG": "True",
            "FAULT_TOY_DIR": str(self.toys),
            "FAULT_ORCHESTRATOR": json.dumps(FAST if orchestrator is None else orchestrator),
            "TRADING_CANARY_S": "2",
            "TRADING_CANARY_PATIENCE_S": "8",
            "PYTHONPATH": str(ROOT),
            **({"TRADING_DATABASE_URL": self.database.url} if self.database else {}),
            **environment,
        }
        # Empty: as if it had never been set.
        self.environment = {name: value for name, value in self.environment.items() if value}
        self._furnish()

    def _furnish(self) -> None:
        """Migrated and bootstrapped: done once per test run, copied afterwards."""
        if SERVER not in _furnished:
            self.manage("migrate", "--verbosity", "0")
            self.manage("bootstrap")
            if self.database is None:
                base = Path(tempfile.mkdtemp(prefix="ts-fault-base-"))
                atexit.register(shutil.rmtree, base, ignore_errors=True)
                _furnished[SERVER] = str(shutil.copytree(self.folder / "var", base / "var"))
            else:
                _furnished[SERVER] = Database(SERVER, "ts_fault_base", template=self.database.name).name
        elif self.database is None:
            shutil.copytree(_furnished[SERVER], self.folder / "var")
        else:
            self.database.drop()
            self.database = Database(SERVER, self.folder.name, template=_furnished[SERVER])

    # --- Life -------------------------------------------------------------------------------------------------

    def manage(self, *args: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), *args], cwd=ROOT, env={**self.environment, **environment},
            capture_output=True, text=True, timeout=240 * SLACK, check=False,
        )  # fmt: skip
        if check and done.returncode:
            raise AssertionError(f"{args} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done

    def launch(self, *args: str, **environment: str) -> None:
        """Start without waiting."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(ROOT / "manage.py"), "run", *args], cwd=ROOT, stdout=log, stderr=log,
                env={**self.environment, **environment}, start_new_session=True,
            )  # fmt: skip

    def start(self, *args: str, timeout: float = 120, **environment: str) -> float:
        """Start and wait until it works; seconds that took."""
        mark = len(self.say())
        self.launch(*args, **environment)
        return wait_for(lambda: self.works(since=mark), timeout, "the system works")

    def works(self, since: int = 0) -> bool:
        """All processes are there, somebody leads, canaries of this generation answer, pages are served."""
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"it left with {self.process.returncode}: {self.say()[-3000:]}")
        if len(re.findall("started as", self.say(since))) < 5:
            return False
        try:
            beats = self.ask("beats")
        except Refused:
            return False
        return self.all_alive(beats) and self.page("/healthz") == 200

    def all_alive(self, beats: list[dict[str, Any]]) -> bool:
        """Every role has a living process of this tree that beats, and both lanes answered a canary lately."""
        tree = {child.pid for child in self.tree()}
        roles = {beat["role"] for beat in beats if beat["pid"] in tree and beat["age_s"] < 12}
        canaries = {beat["name"] for beat in beats if beat["role"] == "canary" and beat["age_s"] < 12}
        return roles >= {"loop", "feed", "workers:trading", "workers:maintenance"} and len(canaries) == 2

    def stop(self, number: int = signal.SIGTERM, timeout: float = 60) -> float:
        """Signal the supervisor and wait for its end; seconds that took."""
        assert self.process is not None
        self.tree()
        began = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(timeout * SLACK)
        return time.monotonic() - began

    def leftovers(self) -> list[int]:
        """Processes of this system that still live although they should not."""
        alive = []
        for pid, created in self._spawned:
            try:
                process = psutil.Process(pid)
                if process.create_time() == created and process.status() != psutil.STATUS_ZOMBIE:
                    alive.append(pid)
            except psutil.NoSuchProcess:
                continue
        return alive

    def power_cut(self) -> None:
        """SIGKILL to everything at once."""
        assert self.process is not None
        for child in [psutil.Process(self.process.pid), *self.tree()] if self.process.poll() is None else []:
            try:
                child.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue
        self.process.wait(20)
        wait_for(lambda: not self.leftovers(), 5, "nothing is left")

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.power_cut()
        if self._agent is not None:
            self._agent.close()
        if self.database is not None:
            self.database.drop()
        if (kept := os.environ.get("FAULT_LOGS")) and self.log.exists():
            shutil.copy(self.log, Path(kept) / f"{self.folder.name}.log")
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- Its processes ----------------------------------------------------------------------------------------

    def tree(self) -> list[psutil.Process]:
        """All processes below the supervisor; remembered, so that orphans can be found later."""
        assert self.process is not None
        try:
            found = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        for child in found:
            try:
                self._spawned.add((child.pid, child.create_time()))
            except psutil.NoSuchProcess:
                continue
        return found

    def pid(self, role: str) -> int:
        """web, web-worker, loop, feed, or LANE, LANE-sentinel, LANE-pusher, LANE-monitor."""
        name, _, part = role.partition("-")
        top = {"trading": "workers-trading", "maintenance": "workers-maintenance"}.get(name, name)
        found = re.findall(rf"^\S+ {top} started as (\d+)$", self.say(), re.MULTILINE)
        main = int(found[-1])
        self.tree()
        if not part:
            return main
        below = psutil.Process(main).children()
        if part in ("worker", "sentinel"):
            return int(below[0].pid)
        return next(int(p.pid) for p in below[0].children() if part in _title(p))

    def workers(self, lane: str) -> dict[int, str]:
        """Worker processes of a lane: idle or busy."""
        found = {}
        for process in psutil.Process(self.pid(f"{lane}-sentinel")).children():
            title = _title(process)
            if "idle" in title or "processing" in title:
                found[process.pid] = "busy" if "processing" in title else "idle"
        return found

    # --- Looking ----------------------------------------------------------------------------------------------

    def say(self, since: int = 0) -> str:
        return self.log.read_text(errors="replace")[since:] if self.log.exists() else ""

    def page(self, path: str, timeout: float = 40) -> int:
        """HTTP status of a page; 0 when nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=timeout) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def ask(self, do: str, *args: Any, **named: Any) -> Any:
        if self._agent is None:
            self._agent = Agent(self.environment)
        return self._agent.ask(do, *args, **named)

    def behave(self, **words: str) -> None:
        target = self.toys / "behaviour"
        fresh = target.with_suffix(".new")
        fresh.write_text(json.dumps(words))
        fresh.rename(target)

    def run_that(self, slug: str, word: str, timeout: float = 40) -> dict[str, Any]:
        """Tell a toy to misbehave: a run that is at it. Those planned before may not have heard."""
        self.behave(**{slug: word})
        newest = self.ask("runs")[-1]["pk"]
        found: list[dict[str, Any]] = []

        def is_at_it() -> bool:
            begun = {run for run, *_rest in self.executions()}
            runs = self.ask("runs", status="running", workflow__slug=slug, pk__gt=newest)
            found[:] = [row for row in runs if row["pk"] in begun]
            return bool(found)

        wait_for(is_at_it, timeout, f"{slug} runs")
        return found[0]

    def executions(self) -> list[tuple[int, int, str, int, float]]:
        path = self.toys / "executions"
        found = []
        for line in path.read_text().splitlines() if path.exists() else []:
            run, epoch, step, pid, at = line.split()
            found.append((int(run), int(epoch), step, int(pid), float(at)))
        return found

    def executed_twice(self) -> dict[tuple[int, str], int]:
        """(run, step) that was carried out more than once: always empty."""
        counted = Counter((run, step) for run, _epoch, step, _pid, _at in self.executions())
        return {key: n for key, n in counted.items() if n > 1}

    def succeeded(self) -> int:
        return int(
            self.ask("count", "orchestrator.Run", status="succeeded", workflow__slug__startswith="toy")
        )

    def recovers(self, timeout: float = RECOVERY_S) -> float:
        """Seconds until everything lives and both lanes finish runs that were planned from now on."""
        newest = max((row["pk"] for row in self.ask("rows", "orchestrator.Run", ["pk"])), default=0)

        def well() -> bool:
            try:
                done = {
                    row["lane"] for row in
                    self.ask("rows", "orchestrator.Run", ["lane"], status="succeeded", pk__gt=newest,
                             workflow__slug__startswith="toy")
                }  # fmt: skip
                return done == {"trading", "maintenance"} and self.works()
            except Refused:
                return False

        return wait_for(well, timeout, "the system has recovered")

    def is_sound(self) -> None:
        """Invariants hold, no run was executed twice, no stranger lives."""
        assert self.executed_twice() == {}
        broken = self.ask("invariants")
        assert broken == {}, broken


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


@contextmanager
def system(**options: Any) -> Iterator[System]:
    made = System(**options)
    try:
        yield made
    except BaseException:
        sys.stderr.write(f"--- end of the log of {made.folder}\n{made.say()[-6000:]}\n")
        raise
    finally:
        made.close()


def report(name: str, **figures: Any) -> None:
    """One line of measurement, printed and, with FAULT_REPORT, kept."""
    line = json.dumps(
        {"test": name, "database": "postgresql" if SERVER else "sqlite", **figures}, default=str
    )
    print(line)
    if path := os.environ.get("FAULT_REPORT"):
        with Path(path).open("a") as file:
            file.write(line + "\n")
