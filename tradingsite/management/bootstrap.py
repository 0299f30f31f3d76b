"""What an empty, migrated database needs before the system can work. Idempotent; `make setup` and `run` call it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from assets.markets.selectors.setup import calendars_lacking_days
from assets.markets.services import calendar_days, instruments
from assets.trading.services import accounts
from orchestrator.services import workflows
from tradingsite.management import demo


@dataclass(frozen=True, kw_only=True, slots=True)
class BootstrapReport:
    """How many rows each part created or brought up to date; all zero when there was nothing to do."""

    instruments: int
    calendar_days: int
    accounts: int
    workflows: int


def bootstrap(now: datetime) -> BootstrapReport:
    """Instruments, exchange sessions, paper accounts and workflows of everything that is plugged in.

    A demo that a person took away stays away.
    """
    with_demo = demo.is_wanted()
    changed = instruments.sync_universe(now, with_demo=with_demo)
    # The calendar library takes seconds to load: only when days are missing.
    days = sum(calendar_days.sync(calendar, now).added for calendar in calendars_lacking_days(now))
    before = accounts.count()
    for is_demo in {False, with_demo}:
        accounts.ensure_paper_accounts(now, is_demo=is_demo)
    return BootstrapReport(
        instruments=changed,
        calendar_days=days,
        accounts=accounts.count() - before,
        workflows=len(workflows.sync_from_plugins(now)),
    )
