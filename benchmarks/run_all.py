"""Every measurement of the project, one after the other, and one table of our figures beside targets and peers.

    python benchmarks/run_all.py [--quick] [--install] [--only engine web ...] [--json FILE]

Run it on a quiet machine: the load average is part of the answer. `--quick` takes smaller sizes to see that everything
works; its figures mean little. Ends with status 1 when a measurement failed, never because a target was missed.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import common
from benchmarks.common import ROOT, Figure, say

HERE = Path(__file__).resolve().parent
TIMEOUT_S = 3600
Reader = Callable[[str], list[Figure]]


def read_engine(text: str) -> list[Figure]:
    found = re.search(r"engine: ([\d,]+) decisions/s best, ([\d,]+) median", text)
    if found is None:
        return []
    best, middle = (float(part.replace(",", "")) for part in found.groups())
    note = f"best round; median {middle:,.0f}"
    return [
        Figure(
            name="engine decisions/s per core",
            ours=best,
            unit="1/s",
            target=50_000,
            higher_is_better=True,
            note=note,
        )
    ]


def read_cycle(text: str) -> list[Figure]:
    """The slower of the idle tick and the tick in which 1 % is due, for each number of workflows."""
    made = []
    for line in text.splitlines():
        cells = line.split()
        if len(cells) == 9 and cells[0].isdigit():
            count, first, idle, _cpu, due = (float(cell) for cell in cells[:5])
            note = (
                f"first tick {first:,.0f} ms, idle {idle:,.0f}, 1 % due {due:,.0f}; {cells[7]} queries idle"
            )
            made.append(
                Figure(
                    name=f"tick of {count:,.0f} workflows",
                    ours=max(idle, due),
                    unit="ms",
                    target=float(cells[6]),
                    note=note,
                )
            )
    return made


def read_import(text: str) -> list[Figure]:
    result, _end = json.JSONDecoder().raw_decode(text[text.index("{") :])
    first, second = result["first"], result["second"]
    changed = second["inserted"] + second["updated"]
    return [
        Figure(
            name="import CSV.gz to SQLite", ours=first["rows_per_s"], unit="rows/s", target=100_000, higher_is_better=True,
            note=f"{first['inserted']:,} rows in {first['seconds']} s",
        ),
        Figure(name="import peak memory", ours=result["peak_mb"], unit="MB", target=300),
        Figure(name="rows changed by importing again", ours=changed, unit="rows", target=0),
    ]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Bench:
    """One program. `read` turns its text into figures; without it the program writes them with --json."""

    script: str
    full: Sequence[str] = ()
    quick: Sequence[str] = ()
    read: Reader | None = None


BENCHES: Mapping[str, Bench] = {
    "engine": Bench(script="bench_engine.py", quick=("--rounds", "5"), read=read_engine),
    "cycle": Bench(script="bench_cycle.py", quick=("--workflows", "200", "--ticks", "2"), read=read_cycle),
    "import": Bench(script="bench_import.py", quick=("--rows", "50000"), read=read_import),
    "start": Bench(script="bench_start.py", quick=("--settle", "15", "--idle", "5")),
    "web": Bench(
        script="bench_web.py",
        quick=("--rounds", "5", "--candles", "5000", "--trades", "500", "--decisions", "1000"),
    ),
    "replay": Bench(script="bench_replay.py", quick=("--only", "crypto-2021")),
    "latency": Bench(
        script="bench_latency.py",
        quick=("--workflows", "10", "--bursts", "1", "--spread", "5", "--only", "ours-sqlite", "apscheduler"),
    ),
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--install", action="store_true", help="also time a clean clone and `make setup`")
    parser.add_argument("--only", nargs="+", choices=list(BENCHES), default=list(BENCHES))
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    common.stop_in_order()
    here = common.machine()
    say(
        f"{here['cpu']}, {here['cores']} cores, Python {here['python']}, load {here['load_1m']} at {here['at']}"
    )
    figures: list[Figure] = []
    failed: list[str] = []
    for name in options.only:
        more = ["--install"] if name == "start" and options.install else []
        made = run(name, options.quick, more)
        figures += made or []
        failed += [] if made is not None else [name]
    say("\n=== Summary ===")
    common.publish(figures, options.json, {"before": here, "failed": failed})
    if failed:
        say(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


def run(name: str, quick: bool, more: Sequence[str]) -> list[Figure] | None:
    """The figures of one program, None when it failed. Its output is passed on while it works."""
    bench = BENCHES[name]
    say(f"\n=== {name} ===")
    began = time.perf_counter()
    with common.scratch("all") as folder:
        result = folder / "figures.json"
        command = [sys.executable, str(HERE / bench.script), *(bench.quick if quick else bench.full), *more]
        if bench.read is None:
            command += ["--json", str(result)]
        code, text = _passed_on(command)
        figures = _figures(bench, result, text)
    say(f"({name}: {time.perf_counter() - began:.0f} s)")
    return None if code or figures is None else figures


def _passed_on(command: Sequence[str]) -> tuple[int, str]:
    lines: list[str] = []
    with subprocess.Popen(
        command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
            lines.append(line)
        code = process.wait(TIMEOUT_S)
    return code, "".join(lines)


def _figures(bench: Bench, result: Path, text: str) -> list[Figure] | None:
    if bench.read is not None:
        try:
            return bench.read(text) or None
        except (ValueError, KeyError) as e:
            say(f"its output cannot be read: {e}")
            return None
    if not result.exists():
        return None
    rows: list[dict[str, Any]] = json.loads(result.read_text(encoding="utf-8"))["figures"]
    return [
        Figure(**{key: value for key, value in row.items() if key not in ("met", "ratio")}) for row in rows
    ]


if __name__ == "__main__":
    sys.exit(main())
