"""Import of 1,000,000 candles from CSV.gz into SQLite: rows a second, peak memory, and what a second import changes.

    python benchmarks/bench_import.py [--rows 1000000]

Goals: at least 100,000 candles a second, less than 300 MB of memory, nothing changed by the second run.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def write_csv(path: Path, rows: int) -> None:
    """A random walk of one-minute bars with six digits each."""
    import numpy as np

    rng = np.random.default_rng(7)
    close = 30_000 * np.exp(np.cumsum(rng.normal(0, 0.0004, rows)))
    opened = np.concatenate(([30_000.0], close[:-1]))
    wick = rng.exponential(0.0002, (2, rows))
    high = np.maximum(opened, close) * (1 + wick[0])
    low = np.minimum(opened, close) * (1 - wick[1])
    times = np.datetime_as_string(np.datetime64("2021-01-01T00:00:00") + 60 * np.arange(rows), unit="s")
    with gzip.open(path, "wt", compresslevel=1) as file:
        file.write("timestamp,open,high,low,close,volume\n")
        for row in zip(times, opened, high, low, close, rng.exponential(12, rows), strict=True):
            file.write("{}Z,{:.2f},{:.2f},{:.2f},{:.2f},{:.6f}\n".format(*row))


def child(path: Path) -> None:
    """Import twice in this process and print the figures as JSON."""
    sys.path.insert(0, str(ROOT))
    import django
    from django.core.management import call_command

    django.setup()
    from assets.markets import universe
    from assets.markets.services import importer, instruments
    from tradingsite.foundation import clock

    call_command("migrate", verbosity=0)
    universe.register("bench", [universe.InstrumentSpec(
        symbol="BENCH", base="B", quote="USD", venue="simulated", calendar="24x7", demo=False)])  # fmt: skip
    instruments.sync_universe(clock.now())
    runs = []
    for _ in range(2):
        started = time.perf_counter()
        report = importer.import_file(path)
        seconds = time.perf_counter() - started
        runs.append({"seconds": round(seconds, 2), "rows_per_s": round(report.rows / seconds),
                     "inserted": report.stored.inserted, "updated": report.stored.updated,
                     "unchanged": report.stored.unchanged, "rejected": report.stored.rejected})  # fmt: skip
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(json.dumps({"first": runs[0], "second": runs[1], "peak_mb": round(peak)}) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--child", type=Path, default=None)
    options = parser.parse_args()
    if options.child is not None:
        child(options.child)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "BENCH_1m.csv.gz"
        write_csv(path, options.rows)
        environment = os.environ | {
            "DJANGO_SETTINGS_MODULE": "tradingsite.settings.dev",
            "TRADING_VAR_DIR": folder,
        }
        command = [sys.executable, __file__, "--child", str(path)]
        output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    result = json.loads(output.splitlines()[-1])
    sys.stdout.write(json.dumps(result, indent=2) + "\n")
    rate, peak = result["first"]["rows_per_s"], result["peak_mb"]
    sys.stdout.write(f"goal 100,000 rows/s: {rate:,} | goal < 300 MB: {peak} MB\n")


if __name__ == "__main__":
    main()
