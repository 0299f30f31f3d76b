"""Look at stored candles: manage.py candles gaps [--instrument SPY --timeframe 1d] [--json]."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from assets.markets import timeframes
from assets.markets.services import gaps
from tradingsite.foundation.commands import EXIT_DEGRADED, EXIT_OK, JsonCommand, table


class Command(JsonCommand):
    help = "gaps: list missing bars inside the stored candles (closed hours are no gaps). Exit code 3 if there are any."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", choices=("gaps",))
        parser.add_argument("--instrument", help="symbol; default: all")
        parser.add_argument("--timeframe", choices=timeframes.NAMES, help="default: all that are stored")

    def run(self, options: dict[str, Any]) -> int:
        rows = [gap.as_row() for gap in gaps.listing(options["instrument"], options["timeframe"])]
        document = {"ok": not rows, "gaps": rows, "missing": sum(row["missing"] for row in rows)}
        headers = ("instrument", "timeframe", "side", "from", "to", "missing")
        text = table(headers, [[row[name] for name in headers] for row in rows]) if rows else "No gaps."
        self.emit(document, text=text)
        return EXIT_DEGRADED if rows else EXIT_OK
