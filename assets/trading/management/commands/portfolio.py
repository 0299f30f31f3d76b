"""`manage.py portfolio`: what the accounts are worth; the numbers of the overview and of /api/portfolio/."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from assets.trading.selectors import api_portfolio
from tradingsite.foundation import clock
from tradingsite.foundation.commands import EXIT_OK, JsonCommand, table


class Command(JsonCommand):
    help = "What each account is worth, and the sums per mode and currency."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--asset-type", default="", help="only the accounts of this asset type")
        parser.add_argument(
            "--mode", choices=("paper", "live"), default="", help="only accounts of this mode"
        )

    def run(self, options: dict[str, Any]) -> int:
        found = api_portfolio.portfolio(clock.now(), options["asset_type"], options["mode"])
        self.emit({"ok": True, "portfolio": found}, text=_text(found))
        return EXIT_OK


def _text(found: api_portfolio.Portfolio) -> str:
    if not found.accounts:
        return "No account yet. Accounts are opened when the set-up is finished."
    rows = [
        (
            item.account,
            item.mode,
            item.currency,
            f"{item.equity:.2f}",
            f"{item.cash:.2f}",
            f"{item.unrealised:.2f}",
            item.positions,
        )
        for item in found.accounts
    ]
    sums = [
        f"{item.mode} {item.currency}: {item.equity:.2f} in {item.accounts} accounts" for item in found.totals
    ]
    head = table(("ACCOUNT", "MODE", "CURRENCY", "EQUITY", "CASH", "UNREALISED", "POSITIONS"), rows)
    note = ["Simulated prices, play money."] if found.is_demo else []
    return "\n".join([head, "", *sums, *note])
