"""`manage.py bootstrap`: instruments, exchange sessions, paper accounts and workflows of what is plugged in."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from tradingsite.foundation import clock
from tradingsite.foundation.commands import JsonCommand
from tradingsite.management.bootstrap import bootstrap


class Command(JsonCommand):
    help = "Create what an empty database lacks. Changes nothing that exists; safe to run at every start."

    def run(self, options: dict[str, Any]) -> int:
        document = asdict(bootstrap(clock.now()))
        self.emit(document, text=", ".join(f"{name} +{count}" for name, count in document.items()))
        return 0
