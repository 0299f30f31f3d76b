"""Alerts from the command line: manage.py alerts list|ack|snooze|test."""

from __future__ import annotations

from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from tradingsite.foundation import alerts, clock, selectors
from tradingsite.foundation.commands import EXIT_DEGRADED, EXIT_OK, JsonCommand, table
from tradingsite.foundation.errors import Invalid
from tradingsite.foundation.notify import selectors as notify
from tradingsite.foundation.notify import services


class Command(JsonCommand):
    help = (
        "list: unresolved alerts, worst first. ack ID: somebody has seen it. snooze ID --minutes 60: put it off (0 ends "
        "that). test CHANNEL: send a test message by the channel of that name or number. Example: manage.py alerts list"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", choices=("list", "ack", "snooze", "test"))
        parser.add_argument("which", nargs="?", default="", help="number of an alert; test: a channel")
        parser.add_argument(
            "--minutes", type=int, default=60, help="how long to snooze (0 to 10080; default 60)"
        )

    def run(self, options: dict[str, Any]) -> int:
        action = options["action"]
        if action == "list":
            return self._list()
        if action == "test":
            return self._test(options["which"])
        pk = _number(options["which"], action)
        if action == "ack":
            alerts.acknowledge(pk, self.actor(), clock.now())
        else:
            alerts.snooze(pk, options["minutes"], self.actor(), clock.now())
        row = selectors.alert(pk)
        words = {
            "ack": "acknowledged",
            "snooze": f"snoozed until {row.snoozed_until}" if row.snoozed_until else "awake",
        }
        self.emit({"ok": True, **asdict(row)}, text=f"Alert {pk} is {words[action]}.")
        return EXIT_OK

    def _list(self) -> int:
        rows = [asdict(row) for row in selectors.attention(limit=200)]
        headers = ("id", "severity", "status", "count", "last_seen_at", "snoozed_until", "title")
        text = table(headers, [[row[name] for name in headers] for row in rows]) if rows else "No open alert."
        self.emit({"ok": True, "alerts": rows}, text=text)
        return EXIT_OK

    def _test(self, which: str) -> int:
        if not which:
            raise Invalid("Say by which channel: alerts test NAME.")
        channel = notify.channel_named(which)
        tested = services.test(channel.pk, owner=None, actor=self.actor(), now=clock.now())
        document = {"ok": tested.is_ok, "channel": tested.name, "error": tested.error}
        text = f"The test message to {tested.name} was taken." if tested.is_ok else ""
        self.emit(
            document, text=text or f"The test message to {tested.name} was not delivered: {tested.error}"
        )
        return EXIT_OK if tested.is_ok else EXIT_DEGRADED


def _number(text: str, action: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise Invalid(f"Say which alert, by its number: alerts {action} ID.")
    return int(text)
