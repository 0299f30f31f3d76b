"""`manage.py seed_demo`: a past for the demo, made by the system itself over simulated prices."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from assets.markets import feeds, hub, pump
from assets.trading.services import accounts
from orchestrator import plugins
from orchestrator.selectors import replay as counts
from orchestrator.services import control
from tradingsite.foundation import clock
from tradingsite.foundation.commands import JsonCommand
from tradingsite.foundation.errors import Conflict, Invalid, Refused
from tradingsite.foundation.progress import Progress
from tradingsite.management import demo
from tradingsite.management.bootstrap import bootstrap
from tradingsite.management.commands.run import take_lock
from tradingsite.management.replay import driver

MOST_HOURS = 24 * 14
_WARMUP = timedelta(days=420)
_MOST_POLLS = 200
_BAR_S = 60  # the finest bars of the simulated feed


class Command(JsonCommand):
    help = (
        "Fill the demo accounts with the last hours: real decisions, runs, orders and fills over simulated prices. "
        "Run it before `manage.py run`. Examples: manage.py seed_demo --hours 24; "
        'manage.py seed_demo --remove --confirm "remove demo"'
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--hours", type=int, default=12, help=f"1 to {MOST_HOURS} (default 12)")
        parser.add_argument("--no-progress", action="store_true")
        parser.add_argument(
            "--remove",
            action="store_true",
            help="take the demo away instead: its accounts with all their rows, the simulated instruments and candles",
        )
        parser.add_argument("--confirm", default="", help=f'with --remove: must be "{demo.PHRASE}"')

    def run(self, options: dict[str, Any]) -> int:
        if options["remove"]:
            return self._remove(options["confirm"])
        hours = options["hours"]
        if not 1 <= hours <= MOST_HOURS:
            raise Invalid(f"--hours must be between 1 and {MOST_HOURS}, was {hours}.")
        if settings.TRADING_FEED != "simulated":
            raise Refused(
                f"Demo data belongs to the simulated feed; TRADING_FEED is {settings.TRADING_FEED!r}.",
                code="not-demo",
            )
        take_lock(settings.VAR_DIR / "run.lock")
        if counts.decision_count():
            raise Conflict(
                "This database already has decisions; a made-up past would mix with them. "
                + demo.how_to_begin_anew(),
                code="not-empty",
            )
        end = clock.now().replace(microsecond=0)
        demo.bring_back(self.actor(), end)
        bootstrap(end)
        bars = self._history(end)
        before = driver.totals()
        self._live_through(
            end - timedelta(hours=hours), end, quiet=options["no_progress"] or options["as_json"]
        )
        made = {"hours": hours, "bars": bars, **driver.totals(before)}
        self.emit({"ok": True, **made}, text=", ".join(f"{name} {count}" for name, count in made.items()))
        return 0

    def _remove(self, phrase: str) -> int:
        found = demo.counts()
        if phrase != demo.PHRASE:
            self.note(", ".join(f"{name} {count}" for name, count in found.items()))
            raise Invalid(f'This deletes them for good. Say it: --remove --confirm "{demo.PHRASE}".')
        take_lock(settings.VAR_DIR / "run.lock")  # nobody trades with them meanwhile
        gone = demo.remove(self.actor(), clock.now(), is_running=False)
        told = ", ".join(f"{name} {count}" for name, count in gone.items())
        following = demo.next_step()
        self.emit({"ok": True, "removed": gone, "next": following}, text=f"{told}\n{following}")
        return 0

    def _history(self, now: datetime) -> int:
        """Ask the simulated feed until it has brought everything it has."""
        feed, total = feeds.get(settings.TRADING_FEED), 0
        for _poll in range(_MOST_POLLS):
            inserted = pump.pump(feed, now).stored.inserted
            total += inserted
            if total and not inserted:
                break
        return total

    def _live_through(self, start: datetime, end: datetime, *, quiet: bool) -> None:
        virtual = clock.VirtualClock(start)
        progress = Progress(sys.stderr, total=(end - start).total_seconds(), unit="s simulated", quiet=quiet)
        instruments = [row for key in plugins.asset_types() for row in hub.active_instruments(key)]
        with (
            clock.use(virtual),
            hub.use_universe(instruments),
            hub.preloaded(instruments, start - _WARMUP, end),
        ):
            accounts.ensure_paper_accounts(start, is_demo=True)
            control.start(self.actor(), start, "demo")
            driver.drive(
                start, end, virtual=virtual, bar_s=_BAR_S, execute=driver.inline,
                on_progress=lambda now: progress.update((now - start).total_seconds()),
            )  # fmt: skip
        progress.finish()
