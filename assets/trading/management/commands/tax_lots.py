"""`manage.py tax_lots ACCOUNT`: which purchase each sale was taken from, as a table, JSON or CSV."""

from __future__ import annotations

import csv
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from assets.trading.exports import LOTS, lot_cells
from assets.trading.selectors import tax
from tradingsite.foundation.commands import EXIT_OK, JsonCommand, table
from tradingsite.foundation.web import csv_cell


class Command(JsonCommand):
    help = "Closed tax lots of an account by fifo, lifo, hifo or average."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("account")
        parser.add_argument("--method", choices=tax.METHODS, default="fifo")
        parser.add_argument("--year", type=int, default=None, help="only what was closed in this year (UTC)")
        parser.add_argument("--csv", action="store_true", help="as CSV on standard output")

    def run(self, options: dict[str, Any]) -> int:
        found = tax.report(options["account"], options["method"], options["year"])
        if options["csv"]:
            writer = csv.writer(self.stdout)
            writer.writerow(LOTS)
            writer.writerows([csv_cell(cell) for cell in lot_cells(lot)] for lot in found.closed)
            return EXIT_OK
        document = {
            "ok": True, "account": found.account, "method": found.method,
            "closed": [{**asdict(lot), "gain": lot.gain} for lot in found.closed],
            "open": [asdict(lot) for lot in found.open],
        }  # fmt: skip
        self.emit(
            document, text=table(LOTS, [[str(cell) for cell in lot_cells(lot)] for lot in found.closed])
        )
        return EXIT_OK
