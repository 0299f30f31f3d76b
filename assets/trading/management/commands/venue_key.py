"""`manage.py venue_key store ACCOUNT | check ACCOUNT | rotate`: API keys of venues. They are read, never printed."""

from __future__ import annotations

import getpass
import sys
from argparse import SUPPRESS, ArgumentParser
from typing import Any

from assets.trading import brokers
from assets.trading.brokers import venue_keys
from assets.trading.brokers.binance import BinanceBroker
from assets.trading.models import Account, VenueKey
from tradingsite.foundation import clock
from tradingsite.foundation.commands import EXIT_OK, EXIT_REFUSED, JsonCommand
from tradingsite.foundation.errors import Invalid, NotFound


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
        if options["action"] == "rotate":
            count = venue_keys.rotate()
            self.emit(
                {"ok": True, "keys": count}, text=f"{count} keys are sealed with the newest encryption key."
            )
            return EXIT_OK
        account = Account.objects.filter(name=options["account"]).first()
        if account is None:
            raise NotFound(f"There is no account {options['account']!r}.")
        return self._store(account) if options["action"] == "store" else self._check(account)

    def _store(self, account: Account) -> int:
        row = venue_keys.store(account, *_typed(), actor=self.actor(), now=clock.now())
        self.emit({"ok": True, "account": account.name, "hint": row.hint}, text=f"Stored the key {row.hint}.")
        return EXIT_OK

    def _check(self, account: Account) -> int:
        broker = brokers.get(account)
        if not isinstance(broker, BinanceBroker):
            raise Invalid(f"The account {account.name} is at {account.broker}, which has no keys.")
        found, offset = broker.permissions(), broker.clock_offset()
        told = {
            "can_read": found.can_read, "can_trade": found.can_trade, "can_withdraw": found.can_withdraw,
            "is_ip_restricted": found.is_ip_restricted, "clock_offset_s": round(offset.total_seconds(), 3),
        }  # fmt: skip
        VenueKey.objects.filter(account=account).update(permissions=told, checked_at=clock.now())
        lines = [f"{name.replace('_', ' ')}: {value}" for name, value in told.items()]
        if found.can_withdraw:
            lines.append("This key can withdraw money. Make one that cannot: it is refused for live trading.")
        self.emit({"ok": not found.can_withdraw, "account": account.name, **told}, text="\n".join(lines))
        return EXIT_REFUSED if found.can_withdraw else EXIT_OK


def _typed() -> tuple[str, str]:
    if sys.stdin.isatty():
        return getpass.getpass("API key: "), getpass.getpass("API secret: ")
    lines = sys.stdin.read().splitlines()
    if len(lines) != 2:
        raise Invalid("Give two lines on standard input: the key, then the secret.")
    return lines[0], lines[1]
