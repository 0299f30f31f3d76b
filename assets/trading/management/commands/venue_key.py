"""`manage.py venue_key store ACCOUNT | check ACCOUNT | rotate`: API keys of venues. They are read, never printed."""

from __future__ import annotations

import getpass
import sys
from argparse import SUPPRESS, ArgumentParser
from dataclasses import asdict
from typing import Any

from assets.trading.services import venues
from tradingsite.foundation import clock
from tradingsite.foundation.commands import EXIT_OK, EXIT_REFUSED, JsonCommand
from tradingsite.foundation.errors import Invalid


class Command(JsonCommand):
    help = "Keys come from the terminal without echo, or as two lines on standard input: key, then secret."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        for name, text in (("store", "keep a new key"), ("check", "ask the venue what the key may do")):
            action = actions.add_parser(name, help=text)
            action.add_argument("account", help="name of the account")
            action.add_argument("--json", action="store_true", dest="as_json", default=SUPPRESS)
        action = actions.add_parser("rotate", help="seal all keys anew with the newest encryption key")
        action.add_argument("--json", action="store_true", dest="as_json", default=SUPPRESS)

    def run(self, options: dict[str, Any]) -> int:
        if options["action"] == "store":
            hint = venues.store_key(options["account"], *_typed(), actor=self.actor(), now=clock.now())
            self.emit(
                {"ok": True, "account": options["account"], "hint": hint}, text=f"Stored the key {hint}."
            )
            return EXIT_OK
        if options["action"] == "check":
            return self._check(options["account"])
        count = venues.rotate_keys()
        self.emit(
            {"ok": True, "keys": count}, text=f"{count} keys are sealed with the newest encryption key."
        )
        return EXIT_OK

    def _check(self, account: str) -> int:
        found = venues.check_key(account, clock.now())
        lines = [f"{name.replace('_', ' ')}: {value}" for name, value in asdict(found).items()]
        if found.can_withdraw:
            lines.append("This key can withdraw money. Make one that cannot: it is refused for live trading.")
        self.emit({"ok": not found.can_withdraw, **asdict(found)}, text="\n".join(lines))
        return EXIT_REFUSED if found.can_withdraw else EXIT_OK


def _typed() -> tuple[str, str]:
    if sys.stdin.isatty():
        return getpass.getpass("API key: "), getpass.getpass("API secret: ")
    lines = sys.stdin.read().splitlines()
    if len(lines) != 2:
        raise Invalid("Give two lines on standard input: the key, then the secret.")
    return lines[0], lines[1]
