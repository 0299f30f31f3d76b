"""What an empty, migrated database needs before the system can work. Idempotent; `make setup` and `run` call it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from assets.markets.services import calendar_days, instruments
from assets.trading.services import accounts
from orchestrator.services import workflows


@dataclass(frozen=True, kw_only=True, slots=True)
class BootstrapReport:
    """How many rows each part created; all zero when there was nothing to do."""

    instruments: int
    calendar_days: int
    accounts: int
    workflows: int


def bootstrap(now: datetime) -> BootstrapReport:
    """Instruments, exchange sessions, paper accounts and workflows of everything that is plugged in."""
    return BootstrapReport(
        instruments=instruments.sync_universe(now),
        calendar_days=calendar_days.ensure(now),
        accounts=accounts.ensure_paper_accounts(now),
        workflows=workflows.sync_from_plugins(now),
    )
