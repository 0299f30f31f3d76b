"""`manage.py risk`: the numbers of the risk page, and limits changed from the console."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from assets.trading.selectors import risk
from assets.trading.services import limits
from tradingsite.foundation import audit, clock
from tradingsite.foundation.commands import EXIT_DEGRADED, EXIT_OK, JsonCommand, table
from tradingsite.foundation.errors import NotFound


class Command(JsonCommand):
    help = "Score, limits, protections and stress of the accounts; or change limits (looser ones count in ten minutes)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--account", default="", help="only this account")
        parser.add_argument(
            "--set", action="append", default=[], metavar="LIMIT=VALUE",
            help="change a limit of --account, e.g. --set max_position_ratio=0.2; repeat for more",
        )  # fmt: skip
        parser.add_argument("--reason", default="", help="for the audit log")

    def run(self, options: dict[str, Any]) -> int:
        now = clock.now()
        found = [row for row in risk.assess(now) if options["account"] in ("", row.account)]
        if options["account"] and not found:
            raise NotFound(f"There is no account {options['account']!r} in use.")
        if options["set"]:
            return self._change(found, options)
        self.emit({"ok": True, "accounts": found}, text=_text(found))
        is_full = any(use.state == "full" for row in found for use in row.limits)
        return EXIT_DEGRADED if is_full or any(row.locks for row in found) else EXIT_OK

    def _change(self, found: list[risk.AccountRisk], options: dict[str, Any]) -> int:
        if not options["account"]:
            raise CommandError("--set needs --account.", returncode=2)
        values = dict(_pair(text) for text in options["set"])
        outcome = limits.change(
            found[0].pk,
            values,
            actor=audit.cli("risk"),
            now=clock.now(),
            reason=options["reason"],
            may_loosen=True,
        )
        text = f"In force now: {', '.join(outcome.applied) or 'nothing'}; in ten minutes: {', '.join(outcome.waiting) or 'nothing'}."
        self.emit({"ok": True, "applied": outcome.applied, "waiting": outcome.waiting}, text=text)
        return EXIT_OK


def _pair(text: str) -> tuple[str, Any]:
    name, is_pair, value = text.partition("=")
    if not is_pair:
        raise CommandError(f"{text!r} is not LIMIT=VALUE.", returncode=2)
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _text(found: list[risk.AccountRisk]) -> str:
    rows = [
        (
            row.account, f"{row.score:.0f}", _ratio(row.value_at_risk), _ratio(row.shortfall),
            ", ".join(use.name for use in row.limits if use.state in ("near", "full")) or "-",
            ", ".join(f"{lock.kind} {lock.subject}" for lock in row.locks) or "-",
        )
        for row in found
    ]  # fmt: skip
    return (
        table(("ACCOUNT", "SCORE", "VAR 95", "ES 95", "LIMITS NEAR", "LOCKS"), rows)
        if rows
        else "No account yet."
    )


def _ratio(value: float | None) -> str:
    return "unknown" if value is None else f"{100 * value:.2f} %"
