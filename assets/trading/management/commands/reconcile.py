"""`manage.py reconcile`: the venues' books against ours, now. Leaves with 3 when something differs, 75 without an answer."""

from __future__ import annotations

from typing import Any

from assets.trading.services import reconciliation
from tradingsite.foundation import clock
from tradingsite.foundation.commands import EXIT_DEGRADED, EXIT_OK, EXIT_TEMPORARY, JsonCommand, table


class Command(JsonCommand):
    help = "Compare orders, trades and balances of every account at a venue, book what was missed, list what differs."

    def run(self, options: dict[str, Any]) -> int:
        reports = reconciliation.reconcile_all(clock.now())
        differs = any(report.differences and not report.ok for report in reports.values())
        silent = any(not report.ok and not report.differences for report in reports.values())
        self.emit({"ok": not differs and not silent, "accounts": reports}, text=_text(reports))
        return EXIT_DEGRADED if differs else EXIT_TEMPORARY if silent else EXIT_OK


def _text(reports: dict[str, reconciliation.ReconcileReport]) -> str:
    if not reports:
        return "No account at a venue: paper has no books but ours."
    lines = [
        f"{name}: {'equal' if report.ok else report.why}, {report.caught_up} orders caught up"
        for name, report in reports.items()
    ]
    rows = [
        (name, item.kind, item.subject, item.ours, item.theirs)
        for name, report in reports.items()
        for item in report.differences
    ]
    return "\n".join(
        [*lines, "", table(("ACCOUNT", "KIND", "WHAT", "OURS", "VENUE'S"), rows)] if rows else lines
    )
