"""Import candle files: manage.py import_candles PATH... [--instrument BTCUSDT --timeframe 1m --asset-type ...]."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from assets.markets import filenames
from assets.markets.services import importer
from assets.markets.services.importer import ImportReport
from tradingsite.foundation.commands import (
    EXIT_DEGRADED,
    EXIT_FAILURE,
    EXIT_NOT_FOUND,
    EXIT_OK,
    JsonCommand,
    table,
)
from tradingsite.foundation.errors import DomainError

_BAR = 30


class Command(JsonCommand):
    help = (
        "Import candles from CSV (plain or gzip) and Parquet. Instrument and timeframe come from the name "
        "(SYMBOL_1m.csv.gz), the asset type from the folder. Exit code: 0 all rows stored, 3 some rows were "
        "refused (kept in quarantine), 1 a file was refused as a whole, 4 a file does not exist."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="files, or folders to search")
        parser.add_argument("--instrument", help="symbol, when the name does not say it")
        parser.add_argument("--timeframe", help="1m, 5m, 1h, 1d ..., when the name does not say it")
        parser.add_argument("--asset-type", help="for instruments that are not known yet")
        parser.add_argument("--no-progress", action="store_true", help="no progress bar on a terminal")

    def run(self, options: dict[str, Any]) -> int:
        imported: list[ImportReport] = []
        failed: list[dict[str, Any]] = []
        for path in _files(options["paths"]):
            try:
                imported.append(self._import(path, options))
            except DomainError as error:
                # The other files are independent of this one; the exit code says that one failed.
                failed.append(
                    {"path": str(path), "code": error.code, "detail": error.message, **error.detail}
                )
                self.note(f"{path}: {error.message}")
        self.emit(_document(imported, failed), text=_text(imported))
        if failed:
            is_missing = all(file["code"] == "no-such-file" for file in failed)
            return EXIT_NOT_FOUND if is_missing else EXIT_FAILURE
        return EXIT_DEGRADED if any(report.stored.rejected for report in imported) else EXIT_OK

    def _import(self, path: Path, options: dict[str, Any]) -> ImportReport:
        show = sys.stderr.isatty() and not options["no_progress"]
        progress = self._progress(path.name) if show else None
        try:
            return importer.import_file(
                path,
                instrument=options["instrument"],
                timeframe=options["timeframe"],
                asset_type=options["asset_type"],
                progress=progress,
            )
        finally:
            if show:
                sys.stderr.write("\n")

    def _progress(self, name: str) -> Callable[[float, int], None]:
        def draw(done: float, rows: int) -> None:
            full = round(_BAR * min(1.0, done))
            sys.stderr.write(f"\r{name} [{'#' * full}{'.' * (_BAR - full)}] {done:4.0%} {rows:,} rows")
            sys.stderr.flush()

        return draw


def _files(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(
                file for file in path.rglob("*") if file.is_file() and file.name.endswith(filenames.SUFFIXES)
            )
        else:
            yield path


def _document(imported: list[ImportReport], failed: list[dict[str, Any]]) -> dict[str, Any]:
    files: list[dict[str, Any]] = [
        {
            "path": report.path,
            "instrument": report.symbol,
            "timeframe": report.timeframe,
            "side": report.side,
            "rows": report.rows,
            "inserted": report.stored.inserted,
            "updated": report.stored.updated,
            "unchanged": report.stored.unchanged,
            "rejected": report.stored.rejected,
            "problems": [{"line": line, "reason": reason} for line, reason in report.problems],
            "seconds": round(report.seconds, 3),
        }
        for report in imported
    ]
    totals = {
        name: sum(file[name] for file in files) for name in ("rows", "inserted", "updated", "unchanged")
    }
    totals["rejected"] = sum(report.stored.rejected_count for report in imported)
    return {"ok": not failed, "files": files, "failed": failed, "totals": totals}


def _text(imported: list[ImportReport]) -> str:
    headers = ("file", "instrument", "bars", "rows", "inserted", "updated", "unchanged", "rejected")
    rows = [
        (
            report.path, report.symbol, report.timeframe, report.rows, report.stored.inserted,
            report.stored.updated, report.stored.unchanged, _reasons(report),
        )
        for report in imported
    ]  # fmt: skip
    return table(headers, rows) if rows else "Nothing was imported."


def _reasons(report: ImportReport) -> str:
    counts = ", ".join(f"{reason} {count}" for reason, count in sorted(report.stored.rejected.items()))
    where = ", ".join(str(line) for line, _reason in report.problems[:5])
    return f"{counts} (line {where})" if where else counts or "0"
