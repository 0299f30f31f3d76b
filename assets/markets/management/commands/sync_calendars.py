"""Store the trading days of exchanges: manage.py sync_calendars [--calendar XNYS]."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from assets.markets.services import calendar_days
from tradingsite.foundation import clock
from tradingsite.foundation.commands import EXIT_OK, JsonCommand, table


class Command(JsonCommand):
    help = "Store the trading days, holidays and early closes of exchanges from 1993 to two years ahead. Idempotent."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--calendar", action="append", help="exchange code; default: all exchanges in use"
        )

    def run(self, options: dict[str, Any]) -> int:
        keys = options["calendar"] or calendar_days.in_use()
        reports = [calendar_days.sync(key, clock.now()) for key in keys]
        rows = [(r.calendar, r.days, r.added, r.changed, r.removed) for r in reports]
        self.emit(
            {"ok": True, "calendars": reports},
            text=table(("calendar", "days", "added", "changed", "removed"), rows),
        )
        return EXIT_OK
