"""Due time -> start of execution through real processes, beside django-q2's own scheduler, Celery beat and APScheduler.

    python benchmarks/bench_latency.py [--workflows 50] [--bursts 3] [--spread 25] [--only ours-sqlite ...] [--json FILE]

Everybody gets the same instants: bursts (all workflows due within one second), then the same jobs evenly spread. Ours are
`manage.py loop` and `manage.py workers --lane trading` with two workers; latency is `run.started_at` minus the
`next_run_at` of the decision in force. PostgreSQL is a throw-away cluster that writes durably (`PG_FSYNC=on`).
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import common, schedule
from benchmarks.common import Figure, Processes, say
from benchmarks.schedule import BURST, SPREAD, Due

TARGET_P50_MS, TARGET_P95_MS = 200.0, 1000.0
PATIENCE_S = 20.0  # after the last due instant
CELERY = (
    "celery==5.6.*",
    "redis>=5,<8",
    "packaging",
)  # its Redis transport imports packaging without asking for it
APSCHEDULER = ("apscheduler==3.11.*", "sqlalchemy==2.*")
Latencies = dict[str, list[float]]  # phase -> ms, in order of due time


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workflows", type=int, default=50)
    parser.add_argument("--bursts", type=int, default=3)
    # Long enough for a burst to end before the next is announced: the end of a run says when the workflow last ran.
    parser.add_argument("--gap", type=float, default=15.0, help="seconds between bursts")
    parser.add_argument(
        "--spread", type=float, default=25.0, help="seconds over which the spread part is due"
    )
    parser.add_argument("--only", nargs="+", choices=list(SYSTEMS), default=list(SYSTEMS))
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    common.stop_in_order()
    plan = schedule.make(options.workflows, options.bursts, options.gap, options.spread)
    results: dict[str, Latencies] = {}
    problems: dict[str, str] = {}
    for name in options.only:
        say(f"{name} ...")
        with common.scratch("latency") as folder:
            try:
                results[name] = SYSTEMS[name](plan, folder)
            except (RuntimeError, OSError, subprocess.SubprocessError) as e:
                problems[name] = str(e)
                say(f"  could not be measured: {e}")
    say(report(plan, results))
    common.publish(figures(results, problems), options.json, {"ms": results, "problems": problems})
    return 1 if any(name.startswith("ours") for name in problems) else 0


# --- The systems ---------------------------------------------------------------------------------------------


def ours_sqlite(plan: Sequence[Due], folder: Path) -> Latencies:
    return _ours(plan, folder, [sys.executable])


def ours_postgres(plan: Sequence[Due], folder: Path) -> Latencies:
    return _ours(plan, folder, [str(common.ROOT / ".ci" / "postgres"), sys.executable], PG_FSYNC="on")


def _ours(plan: Sequence[Due], folder: Path, command: Sequence[str], **more: str) -> Latencies:
    """In a process of its own, which may load Django with the settings of this measurement."""
    (folder / "offsets.json").write_text(json.dumps([[d.key, d.phase, d.workflow, d.at] for d in plan]))
    env = common.environment(folder / "var", "benchmarks.settings", **more)
    with Processes(folder) as processes:
        program = [*command, "-m", "benchmarks.latency_ours", str(folder)]
        process = processes.start("ours", program, env, group=True)
        try:
            code = process.wait(_span(plan) + 240)
        except subprocess.TimeoutExpired:
            code = -1
        if code:
            raise RuntimeError(f"ended with {code}:\n{processes.log('ours', 30)}")
    answer = json.loads((folder / "answer.json").read_text())
    if answer["remarks"]:
        say("  " + "; ".join(answer["remarks"]))
    return {str(phase): list(values) for phase, values in answer["ms"].items()}


def q2_scheduler(plan: Sequence[Due], folder: Path) -> Latencies:
    """Its scheduler looks every 30 s: a late start is its normal case, so it gets more patience."""
    with Processes(folder) as processes:
        start = _planned(plan, folder, lead_s=8.0)
        env = _peer_environment(folder)
        database = folder / "peer.sqlite3"
        command = [
            sys.executable,
            "-m",
            "benchmarks.peers.q2_scheduler",
            str(folder / "plan.json"),
            str(database),
        ]
        processes.start("q2", command, env)
        return _collect(plan, start, folder, processes, patience_s=50.0)


def celery_beat(plan: Sequence[Due], folder: Path) -> Latencies:
    if shutil.which("redis-server") is None:
        raise RuntimeError("redis-server is not installed (Debian: apt-get install redis-server)")
    python = common.peer_python("celery", CELERY)
    port = common.free_port()
    env = _peer_environment(folder) | {"BENCH_REDIS": f"redis://127.0.0.1:{port}/0"}
    celery = [str(python), "-m", "celery", "-A", "benchmarks.peers.celery_app"]
    with Processes(folder) as processes:
        _planned(plan, folder, lead_s=0.0)
        redis = [
            "redis-server",
            "--port",
            str(port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ]
        processes.start("redis", redis, env, cwd=folder)
        processes.start("worker", [*celery, "worker", "-c", "2", "-l", "INFO"], env)
        _wait_for(lambda: " ready." in processes.log("worker", 50), processes, 60.0)
        start = _planned(plan, folder, lead_s=8.0)
        beat = [*celery, "beat", "-s", str(folder / "beat"), "--pidfile", str(folder / "beat.pid")]
        processes.start("beat", beat, env | {"BENCH_BEAT": "1"})
        return _collect(plan, start, folder, processes)


def apscheduler_memory(plan: Sequence[Due], folder: Path) -> Latencies:
    return _apscheduler(plan, folder, [])


def apscheduler_sqlite(plan: Sequence[Due], folder: Path) -> Latencies:
    return _apscheduler(plan, folder, [folder / "jobs.sqlite3"])


def _apscheduler(plan: Sequence[Due], folder: Path, more: Sequence[Path]) -> Latencies:
    python = common.peer_python("apscheduler", APSCHEDULER)
    with Processes(folder) as processes:
        start = _planned(plan, folder, lead_s=6.0)
        command = [
            str(python),
            "-m",
            "benchmarks.peers.apscheduler_app",
            str(folder / "plan.json"),
            *map(str, more),
        ]
        processes.start("apscheduler", command, _peer_environment(folder))
        return _collect(plan, start, folder, processes)


SYSTEMS: Mapping[str, Callable[[Sequence[Due], Path], Latencies]] = {
    "ours-sqlite": ours_sqlite,
    "ours-postgres": ours_postgres,
    "django-q2": q2_scheduler,
    "celery-beat": celery_beat,
    "apscheduler": apscheduler_memory,
    "apscheduler-sqlite": apscheduler_sqlite,
}


# --- Helpers -------------------------------------------------------------------------------------------------


def _peer_environment(folder: Path) -> dict[str, str]:
    env = common.environment(folder)
    env.pop("DJANGO_SETTINGS_MODULE")
    return env | {schedule.MARKS: str(folder / "marks"), "BENCH_PLAN": str(folder / "plan.json")}


def _planned(plan: Sequence[Due], folder: Path, lead_s: float) -> float:
    start = common.wall() + lead_s
    schedule.save(folder / "plan.json", plan, start)
    return start


def _span(plan: Sequence[Due]) -> float:
    return plan[-1].at


def _wait_for(condition: Callable[[], bool], processes: Processes, patience_s: float) -> None:
    until = time.perf_counter() + patience_s
    while not condition():
        processes.require_alive()
        if time.perf_counter() > until:
            raise RuntimeError(f"not ready within {patience_s:.0f} s")
        time.sleep(0.1)


def _collect(
    plan: Sequence[Due], start: float, folder: Path, processes: Processes, patience_s: float = PATIENCE_S
) -> Latencies:
    """Wait until every job has run, or patience ends. The nth start of a workflow answers its nth due instant."""
    until = start + _span(plan) + patience_s
    while common.wall() < until and len(schedule.marks(folder / "marks")) < len(plan):
        processes.require_alive()
        time.sleep(0.25)
    started = schedule.marks(folder / "marks")
    if any("@" in key for key in started):
        started = _by_order(plan, started)
    found: Latencies = {BURST: [], SPREAD: []}
    for due in plan:
        if due.key in started:
            found[due.phase].append((started[due.key] - start - due.at) * 1000)
    missing = len(plan) - sum(map(len, found.values()))
    if missing:
        say(f"  {missing} of {len(plan)} jobs had not started {patience_s:.0f} s after the last was due")
    return found


def _by_order(plan: Sequence[Due], started: Mapping[str, float]) -> dict[str, float]:
    """Starts named `workflow@...` to the keys of the plan."""
    times: dict[int, list[float]] = {}
    for key, at in sorted(started.items(), key=lambda item: item[1]):
        times.setdefault(int(key.partition("@")[0]), []).append(at)
    keys: dict[int, list[str]] = {}
    for due in plan:
        keys.setdefault(due.workflow, []).append(due.key)
    return {key: at for w, names in keys.items() for key, at in zip(names, times.get(w, []), strict=False)}


# --- Output --------------------------------------------------------------------------------------------------


def report(plan: Sequence[Due], results: Mapping[str, Latencies]) -> str:
    workflows = len({due.workflow for due in plan})
    lines = [
        f"\n{workflows} workflows, ms from due to start",
        f"{'system':<20} {'pattern':<8} {'n':>5} {'p50':>9} {'p95':>9} {'p99':>9} {'max':>9}",
    ]
    for name, phases in results.items():
        for phase, values in phases.items():
            if values:
                cells = [common.percentile(values, share) for share in (0.5, 0.95, 0.99, 1.0)]
                text = " ".join(f"{cell:>9.1f}" for cell in cells)
                lines.append(f"{name:<20} {phase:<8} {len(values):>5} {text}")
    return "\n".join(lines) + "\n"


def figures(results: Mapping[str, Latencies], problems: Mapping[str, str]) -> list[Figure]:
    """Ours against the targets, then against each peer."""
    made: list[Figure] = []
    for name in ("ours-sqlite", "ours-postgres"):
        if name in problems:
            made.append(Figure(name=f"latency {name[5:]}", ours=None, unit="ms", note="failed"))
        for phase, values in results.get(name, {}).items():
            if not values:
                continue
            label = f"latency {name[5:]} {phase}"
            p50, p95 = common.percentile(values, 0.5), common.percentile(values, 0.95)
            made.append(Figure(name=f"{label} p50", ours=p50, unit="ms", target=TARGET_P50_MS))
            made.append(Figure(name=f"{label} p95", ours=p95, unit="ms", target=TARGET_P95_MS))
            made += [
                Figure(
                    name=f"{label} p50", ours=p50, unit="ms", peer=peer,
                    peer_value=common.percentile(theirs[phase], 0.5), note=problems.get(peer, ""),
                )
                for peer, theirs in results.items()
                if not peer.startswith("ours") and theirs.get(phase)
            ]  # fmt: skip
    return made


if __name__ == "__main__":
    sys.exit(main())
