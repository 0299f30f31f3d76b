"""Replay of real candles through the whole system: how many times faster than real time, and whether the books balance.

    python benchmarks/bench_replay.py [--only crypto-2021 ...] [--data ../shared/market-data] [--json FILE]

Each scenario imports its files into an empty database of its own (not timed here: bench_import.py) and replays them
inline on the virtual clock: observe, decide, plan, claim, run, order, fill, ledger.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import common
from benchmarks.common import ROOT, Figure, say

TARGET = 5_000.0  # times real time


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A period, the asset types that take part, glob patterns of their files, and who executes the runs."""

    start: str
    end: str
    asset_types: tuple[str, ...]
    files: tuple[str, ...]
    executor: str = "inline"


_ETF_DAYS = ("etf/*_1d.csv.gz",)
_COINS_2021 = (
    "crypto_lt/BTCUSDT_1[dm]*2104.csv.gz", "crypto_lt/ETHUSDT_1[dm]*2104.csv.gz", "crypto_lt/BTCUSDT_1d.csv.gz",
    "crypto_lt/ETHUSDT_1d.csv.gz", "meme_coins/DOGEUSDT_1m_202104.csv.gz", "meme_coins/DOGEUSDT_1d.csv.gz",
)  # fmt: skip
SCENARIOS = {
    "crypto-2021": Scenario(
        start="2021-04-12", end="2021-04-19", asset_types=("crypto_lt", "meme_coins"),
        files=_COINS_2021,
    ),
    # Two hours through the queue and real workers: does it work, not how fast.
    "queue-2021": Scenario(
        start="2021-04-12T00:00", end="2021-04-12T02:00", asset_types=("crypto_lt", "meme_coins"),
        files=_COINS_2021, executor="queue",
    ),
    "forex-2014": Scenario(
        start="2014-05-04", end="2014-05-11", asset_types=("forex",),
        files=("forex/EURUSD_1[hm]*fxcm*.csv.gz", "forex/NZDUSD_1[hm]*fxcm*.csv.gz"),
    ),
    "etf-minutes-2019": Scenario(
        start="2019-12-13", end="2020-01-01", asset_types=("etf",), files=("etf/*_1m_201912.csv.gz", *_ETF_DAYS)
    ),
    "etf-days": Scenario(start="2010-01-01", end="2020-01-01", asset_types=("etf",), files=_ETF_DAYS),
    # All four at once, in the only month for which there are files of each (the coins in hours and days only).
    "all-four-2019": Scenario(
        start="2019-12-16", end="2019-12-23", asset_types=("crypto_lt", "meme_coins", "forex", "etf"),
        files=("crypto_lt/BTCUSDT_[14][dh].csv.gz", "crypto_lt/ETHUSDT_[14][dh].csv.gz", "meme_coins/DOGEUSDT_1[dh].csv.gz",
               "forex/EURUSD_15m_201810.csv.gz", "forex/USDJPY_1h.csv.gz", "forex/EURGBP_1h.csv.gz",
               "forex/AUDUSD_1h.csv.gz", "etf/*_1m_201912.csv.gz", *_ETF_DAYS),
    ),
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=list(SCENARIOS), default=list(SCENARIOS))
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "market-data")
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    common.stop_in_order()
    if not options.data.is_dir():
        say("The market data are not here: replay is not measured. Give their directory with --data.")
        common.publish([], options.json)
        return 0
    documents: dict[str, dict[str, Any]] = {}
    for name in options.only:
        say(f"{name} ...")
        try:
            documents[name] = replay(SCENARIOS[name], options.data)
        except RuntimeError as e:
            documents[name] = {"error": str(e)}
            say(f"  failed: {e}")
    say(report(documents))
    common.publish(figures(documents), options.json, {"replays": documents})
    return 1 if any("error" in document for document in documents.values()) else 0


def files_of(scenario: Scenario, data: Path) -> list[str]:
    found = sorted({str(path) for pattern in scenario.files for path in data.glob(pattern)})
    if not found:
        raise RuntimeError(f"no file of {', '.join(scenario.files)} in {data}")
    return found


def replay(scenario: Scenario, data: Path) -> dict[str, Any]:
    """The document of `manage.py replay --json`, with the seconds the import took."""
    with common.scratch("replay") as folder:
        env = common.environment(folder / "var")
        common.manage(env, "migrate", "--noinput", "--verbosity", "0")
        common.manage(env, "bootstrap")
        began = time.perf_counter()
        common.manage(
            env, "import_candles", *files_of(scenario, data), accept=(0, 3)
        )  # 3: some rows in quarantine
        import_s = time.perf_counter() - began
        cpu_before = _cpu_of_children_s()
        chosen = [part for name in scenario.asset_types for part in ("--asset-type", name)]
        text = common.manage(
            env,
            "replay",
            "--from",
            scenario.start,
            "--to",
            scenario.end,
            *chosen,
            "--executor",
            scenario.executor,
            "--no-progress",
            "--json",
            accept=(0, 3),
        )  # 3: an invariant is broken; the document says which
    document: dict[str, Any] = json.loads(text)
    return document | {"import_s": round(import_s, 1), "cpu_s": round(_cpu_of_children_s() - cpu_before, 1)}


def _cpu_of_children_s() -> float:
    """CPU time of the commands that have ended: on a busy machine the wall clock measures the others, too."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _runs(document: dict[str, Any]) -> tuple[int, int]:
    """(all, failed)."""
    counts = document["runs"].values()
    return sum(sum(c.values()) for c in counts), sum(c.get("failed", 0) for c in counts)


def _broken(document: dict[str, Any]) -> list[str]:
    return [code for code, state in document["invariants"].items() if state != "ok"]


def report(documents: dict[str, dict[str, Any]]) -> str:
    lines = [
        f"\n{'scenario':<18} {'candles':>9} {'wall s':>8} {'CPU s':>8} {'speedup':>9} {'decisions':>9} {'runs':>6} {'failed':>6} "
        f"{'orders':>6} {'fills':>6} {'imbalance':>9}  invariants"
    ]
    for name, d in documents.items():
        if "error" in d:
            lines.append(f"{name:<18} failed")
            continue
        runs, failed = _runs(d)
        lines.append(
            f"{name:<18} {d['candles']:>9,} {d['wall_s']:>8.1f} {d['cpu_s']:>8.1f} {d['speedup']:>9,.0f} {d['decisions']:>9,} {runs:>6,} "
            f"{failed:>6} {d['orders']:>6,} {d['fills']:>6,} {d['ledger_imbalance']:>9}  {', '.join(_broken(d)) or 'all ok'}"
        )
    return "\n".join(lines) + "\n"


def figures(documents: dict[str, dict[str, Any]]) -> list[Figure]:
    made: list[Figure] = []
    for name, d in documents.items():
        label, target = f"replay {name}", TARGET if SCENARIOS[name].executor == "inline" else None
        if "error" in d:
            made.append(
                Figure(name=label, ours=None, unit="x", target=target, higher_is_better=True, note="failed")
            )
            continue
        runs, failed = _runs(d)
        books = "balanced" if d["ledger_imbalance"] == "0" else f"imbalance {d['ledger_imbalance']}"
        note = f"{d['wall_s']:.0f} s ({d['cpu_s']:.0f} s CPU with set-up), {runs} runs, {failed} failed, {books}, invariants {', '.join(_broken(d)) or 'ok'}"
        made.append(
            Figure(name=label, ours=d["speedup"], unit="x", target=target, higher_is_better=True, note=note)
        )
    return made


if __name__ == "__main__":
    sys.exit(main())
