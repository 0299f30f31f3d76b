"""What the benchmarks share: figures and their table, processes that are cleaned up by their ids, peers' environments."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from orchestrator.process.lifeline import tie_to_this_process  # noqa: E402 - found by the line above

STOP_GRACE_S = 45.0


def say(text: str = "") -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def wall() -> float:
    """Epoch seconds: what processes of different programs can compare."""
    return time.time()  # noqa: TID251 - measures the product from outside, without its clock


# --- Figures -------------------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class Figure:
    """One measured number beside its target and, where there is one, a peer measured in the same run."""

    name: str
    ours: float | None  # None: could not be measured, `note` says why
    unit: str
    target: float | None = None
    higher_is_better: bool = False
    peer: str = ""
    peer_value: float | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        if self.ours is None or self.target is None:
            return None
        return self.ours >= self.target if self.higher_is_better else self.ours <= self.target

    @property
    def ratio(self) -> float | None:
        """How many times better than the peer, or (without a peer) than the target; above 1 is better."""
        other = self.peer_value if self.peer else self.target
        if not self.ours or not other:
            return None
        return self.ours / other if self.higher_is_better else other / self.ours


def number(value: float | None) -> str:
    if value is None:
        return "-"
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def table(figures: Sequence[Figure]) -> str:
    """The figures as columns of text."""
    rows = [("figure", "ours", "unit", "target", "met", "peer", "peer's", "ratio", "note")]
    words = {True: "yes", False: "NO", None: "-"}
    for f in figures:
        target = ("" if f.target is None else ">= " if f.higher_is_better else "<= ") + number(f.target)
        ratio = f"{f.ratio:,.2f}" if f.ratio is not None else "-"
        rows.append(
            (
                f.name,
                number(f.ours),
                f.unit,
                target,
                words[f.met],
                f.peer or "-",
                number(f.peer_value),
                ratio,
                f.note,
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def publish(figures: Sequence[Figure], path: Path | None, details: Mapping[str, Any] | None = None) -> None:
    """Print the table; with a path also write it, the machine and the details as JSON."""
    say(table(figures))
    if path is not None:
        document = {
            "machine": machine(),
            "figures": [asdict(f) | {"met": f.met, "ratio": f.ratio} for f in figures],
            "details": dict(details or {}),
        }
        path.write_text(json.dumps(document, indent=2, default=str) + "\n", encoding="utf-8")


def machine() -> dict[str, Any]:
    """What was measured on, and how busy it was (load average of the last minute)."""
    model = platform.processor()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    except OSError:
        pass  # not Linux: the architecture must do
    return {
        "cores": os.cpu_count(),
        "cpu": model,
        "python": platform.python_version(),
        "load_1m": round(os.getloadavg()[0], 1),
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def percentile(values: Iterable[float], share: float) -> float:
    """The nearest-rank percentile, 0 < share <= 1; NaN of nothing."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan


# --- Processes -----------------------------------------------------------------------------------------------


class Processes:
    """Child processes in sessions of their own; `stop` ends each and what it started, by its id.

    They also die with this process, should it be killed.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._running: list[tuple[str, subprocess.Popen[bytes], bool]] = []

    def start(
        self, name: str, command: Sequence[str | Path], environment: Mapping[str, str], *, cwd: Path = ROOT,
        group: bool = False,
    ) -> subprocess.Popen[bytes]:  # fmt: skip
        """Start it with its output in a log. `group`: to stop it, everything in its session is told (shell scripts)."""
        with (self._logs / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [str(part) for part in command], env=dict(environment), cwd=cwd, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=tie_to_this_process(),
            )  # fmt: skip
        self._running.append((name, process, group))
        return process

    def log(self, name: str, lines: int = 20) -> str:
        """The last lines a process wrote."""
        text = (self._logs / f"{name}.log").read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def require_alive(self) -> None:
        """Raises RuntimeError with the last lines of whatever has ended."""
        for name, process, _group in self._running:
            if process.poll() is not None:
                raise RuntimeError(f"{name} ended with {process.returncode}:\n{self.log(name)}")

    def stop(self) -> None:
        for _name, process, group in self._running:
            if process.poll() is None and group:
                os.killpg(process.pid, signal.SIGTERM)
            elif process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for _name, process, _group in self._running:
            try:
                process.wait(STOP_GRACE_S)
            except subprocess.TimeoutExpired:
                pass  # killed below with all it started
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # nothing was left
            process.wait()
        self._running.clear()

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def stop_in_order() -> None:
    """Let SIGTERM end this program as Ctrl-C does: everything that was started is stopped, everything written removed."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


@contextmanager
def scratch(name: str, keep: bool = False) -> Iterator[Path]:
    """A directory that is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix=f"bench-{name}-"))
    try:
        yield folder
    finally:
        if keep:
            say(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def environment(var: Path, settings: str = "tradingsite.settings.dev", **more: str) -> dict[str, str]:
    """The caller's environment without its TRADING_* variables, pointed at a var directory of our own."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("TRADING_")}
    plain.pop("Q_CLUSTER_NAME", None)
    return plain | {
        "DJANGO_SETTINGS_MODULE": settings,
        "TRADING_VAR_DIR": str(var),
        "TRADING_LOG_LEVEL": "WARNING",
        "PYTHONPATH": str(ROOT),
        **more,
    }


def manage(
    env: Mapping[str, str], *arguments: str, timeout_s: float = 2400.0, accept: Sequence[int] = (0,)
) -> str:
    """Run a management command to its end and return what it printed. Raises RuntimeError with its errors."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), *arguments], env=dict(env), cwd=ROOT, capture_output=True, text=True,
        timeout=timeout_s, check=False,
    )  # fmt: skip
    if done.returncode not in accept:
        raise RuntimeError(
            f"manage.py {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr or done.stdout}"
        )
    return done.stdout


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def family(pid: int) -> list[psutil.Process]:
    """A process and everything below it."""
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def pss_mb(processes: Iterable[psutil.Process]) -> float:
    """Memory in MB, shared pages divided among those that share them (needs Linux)."""
    total_kb = 0
    for process in processes:
        try:
            text = Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="utf-8")
        except (FileNotFoundError, ProcessLookupError):
            continue  # ended meanwhile
        total_kb += next((int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")), 0)
    return total_kb / 1024


# --- Peers ---------------------------------------------------------------------------------------------------


def peer_python(name: str, requirements: Sequence[str]) -> Path:
    """The interpreter of an environment with `requirements`, made on first use and kept in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tradingsite-bench"
    key = hashlib.sha256(" ".join([platform.python_version(), *requirements]).encode()).hexdigest()[:8]
    home = cache / f"{name}-{key}"
    python = home / "bin" / "python"
    if not (home / ".ready").exists():
        shutil.rmtree(home, ignore_errors=True)
        cache.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True, capture_output=True)
        command = [
            str(python),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            *requirements,
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode:
            raise RuntimeError(f"pip could not install {' '.join(requirements)}:\n{done.stderr[-2000:]}")
        (home / ".ready").touch()
    return python
