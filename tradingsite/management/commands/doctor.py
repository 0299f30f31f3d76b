"""`manage.py doctor`: is this installation in order, and if not, what to do."""

from __future__ import annotations

from typing import Any

from tradingsite.foundation import clock
from tradingsite.foundation.commands import EXIT_DEGRADED, EXIT_OK, JsonCommand, table
from tradingsite.management.doctor import examine


class Command(JsonCommand):
    help = "Look at everything that is needed and say how to repair what is wrong. Exit code 3 when something is."
    requires_system_checks: list[str] = []
    requires_migrations_checks = False

    def run(self, options: dict[str, Any]) -> int:
        found = examine(clock.now())
        ok = all(item.state in ("ok", "off") for item in found)
        rows = [
            (item.state.upper() if item.state in ("error", "warning") else item.state, item.name, item.detail)
            for item in found
        ]
        repairs = [f"  {item.name}: {item.fix}" for item in found if item.fix]
        text = table(("STATE", "WHAT", "DETAIL"), rows) + (
            "\n\nTo do:\n" + "\n".join(repairs) if repairs else ""
        )
        self.emit({"ok": ok, "checks": found}, text=text)
        return EXIT_OK if ok else EXIT_DEGRADED
