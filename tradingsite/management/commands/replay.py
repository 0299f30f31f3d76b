"""`manage.py replay`: the whole system on a virtual clock over imported candles."""

from __future__ import annotations

import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any

from assets.markets import hub, timeframes
from orchestrator import plugins
from tradingsite.foundation import clock
from tradingsite.foundation.commands import JsonCommand
from tradingsite.foundation.errors import Invalid
from tradingsite.foundation.progress import Progress
from tradingsite.foundation.timeparse import parse_instant
from tradingsite.management.replay import driver, report, scratch, workers


class Command(JsonCommand):
    help = (
        "Drive decisions, runs, orders, fills and the ledger over imported candles on a virtual clock, in a scratch "
        "database. Example: manage.py replay --from 2021-04-12 --to 2021-04-19 --asset-type crypto_lt --json"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--from", dest="start", required=True, help="first instant, UTC (2021-04-12)")
        parser.add_argument("--to", dest="end", required=True, help="end, not included")
        parser.add_argument("--asset-type", action="append", default=[], help="may be repeated; default: all")
        parser.add_argument("--executor", choices=("inline", "queue"), default="inline")
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument("--no-progress", action="store_true")
        parser.add_argument("--keep", type=Path, help="keep the scratch database at this path")

    def run(self, options: dict[str, Any]) -> int:
        start, end = self._period(options)
        asset_types = self._asset_types(options["asset_type"])
        source = scratch.choose(asset_types, start, end)
        present = tuple(dict.fromkeys(row["asset_type"] for row in source.instruments))
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="replay-")))
            path = self._path(options["keep"], folder)
            candles = stack.enter_context(scratch.database(path, source, start, end))
            stack.enter_context(scratch.replay_settings())
            virtual = clock.VirtualClock(start)
            stack.enter_context(clock.use(virtual))
            instruments = [hub.by_id(row["id"]) for row in source.instruments]
            stack.enter_context(hub.use_universe(instruments))
            stack.enter_context(hub.preloaded(instruments, scratch.earliest(start), end))
            execute = stack.enter_context(self._executor(options["executor"], path))
            stack.enter_context(driver.rare_collection())
            began = time.perf_counter()
            bar_s = min(timeframes.seconds(row["timeframe"]) for row in source.instruments)
            driver.prepare(present, start, bar_s=bar_s)
            driver.drive(
                start, end, virtual=virtual, bar_s=bar_s, execute=execute,
                on_progress=self._progress(start, end, options),
            )  # fmt: skip
            wall_s = time.perf_counter() - began
            document = report.build(
                start=start,
                end=end,
                wall_s=wall_s,
                executor=options["executor"],
                seed=options["seed"],
                candles=candles,
            )
        is_sound = report.is_sound(document)
        self.emit({"ok": is_sound, **document}, text=self._text(document))
        return 0 if is_sound else 3

    def _period(self, options: dict[str, Any]) -> tuple[datetime, datetime]:
        start = parse_instant(options["start"], field="from")
        end = parse_instant(options["end"], field="to")
        if end <= start:
            raise Invalid(f"--to must be later than --from, were {options['end']} and {options['start']}.")
        return start, end

    def _asset_types(self, asked: list[str]) -> tuple[str, ...]:
        known = plugins.asset_types()
        for name in asked:
            if name not in known:
                raise Invalid(f"--asset-type must be one of {', '.join(known)}, was {name!r}.")
        return tuple(dict.fromkeys(asked)) or known

    def _path(self, keep: Path | None, folder: Path) -> Path:
        if keep is None:
            return folder / "db.sqlite3"
        if keep.exists():
            raise Invalid(f"--keep must name a file that does not exist yet, was {str(keep)!r}.")
        return keep

    def _executor(self, name: str, path: Path) -> Any:
        return nullcontext(driver.inline) if name == "inline" else workers.real_workers(path)

    def _progress(
        self, start: datetime, end: datetime, options: dict[str, Any]
    ) -> Callable[[datetime], None]:
        quiet = options["no_progress"] or options["as_json"]
        bar = Progress(sys.stderr, total=(end - start).total_seconds(), unit="s simulated", quiet=quiet)
        return lambda now: bar.update((now - start).total_seconds())

    def _text(self, document: dict[str, Any]) -> str:
        lines = [
            f"{document['from']} to {document['to']} in {document['wall_s']} s ({document['speedup']} x real time)",
            f"decisions {document['decisions']}, orders {document['orders']}, fills {document['fills']}, "
            f"ledger imbalance {document['ledger_imbalance']}",
        ]
        for slug, counts in sorted(document["runs"].items()):
            lines.append(f"  {slug}: " + ", ".join(f"{word} {count}" for word, count in counts.items()))
        lines += [f"  equity {name}: {value}" for name, value in sorted(document["equity"].items())]
        bad = {code: state for code, state in document["invariants"].items() if state != "ok"}
        lines.append(f"invariants: {'all ok' if not bad else bad}")
        return "\n".join(lines)
