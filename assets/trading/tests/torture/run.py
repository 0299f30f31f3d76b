"""The parent: it hosts the venue, keeps the processes alive, kills them, and stops everything to compare both books.

The directory holds all that is needed to go on: database (SQLite), truth log, counters. On PostgreSQL the database lives
where TRADING_TEST_DATABASE_URL says.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from assets.trading.tests.torture import setup, world
from tradingsite.foundation import clock

ROOT = Path(__file__).resolve().parents[4]
SETTLE_S = 240.0
SILENT_S = 120.0  # nothing sent for so long: something is stuck


@dataclass
class State:
    """Counters that survive the death of the parent. `in_post`: kills of a worker whose order was at the venue's door,
    `errors`: children that ended by themselves, `approvals`: how often the account had lost its permission to trade.
    """

    seed: int
    database: str
    generation: int = 0
    kills: int = 0
    in_post: int = 0
    batches: int = 0
    errors: int = 0
    approvals: int = 0
    seconds: float = 0.0

    @classmethod
    def load(cls, folder: Path) -> State:
        return cls(**json.loads((folder / "state.json").read_text()))

    def save(self, folder: Path) -> None:
        fresh = folder / "state.new"
        fresh.write_text(json.dumps(asdict(self)))
        fresh.replace(folder / "state.json")


class Broken(Exception):
    """Something that must never happen has happened; said already."""


class Torture:
    """One session with one directory."""

    def __init__(self, folder: Path, state: State, intents: int, kills: int, batch: int) -> None:
        from assets.trading.tests.torture.venue import TortureVenue

        self.folder, self.state, self.batch = folder, state, batch
        self.want_sent, self.want_kills = intents, kills
        self.rng = random.Random(f"{state.seed}:nemesis:{state.generation}")
        self.venue = TortureVenue(folder, f"{state.seed}:venue:{state.generation}", self._at_the_door)
        self._wanted = ""  # the stage at which the next order's sender dies
        self._lock = threading.Lock()
        self.began, self.before_s = clock.monotonic(), state.seconds
        self.nest: Any = None

    # --- Life ---------------------------------------------------------------------------------------------------

    def run(self) -> None:
        from assets.trading.tests.torture.nest import Nest

        (self.folder / "pause").unlink(missing_ok=True)
        with self.venue:
            os.environ["TORTURE_VENUE"] = self.venue.url
            self._point(self.venue.url)
            self.nest = Nest(dict(os.environ))
            try:
                for slot in world.SLOTS:
                    self.nest.start(slot)
                if self._done():
                    self._compare()  # asked to go on with what is complete: looked at once more
                while not self._done():
                    self._batch()
                    self._compare()
                self._command()
            finally:
                self.nest.close()

    def _point(self, url: str) -> None:
        from django.conf import settings

        settings.BINANCE_URL = url + "/checker"

    def _done(self) -> bool:
        return self._sent() >= self.want_sent and self.state.kills >= self.want_kills

    def _sent(self) -> int:
        from assets.trading.models import Order

        return Order.objects.filter(sent_at__isnull=False).count()

    # --- Killing ------------------------------------------------------------------------------------------------

    def _batch(self) -> None:
        """Let them work and kill them, in step, until `batch` more orders were sent."""
        sent = first = self._sent()
        goal, kills_first = min(first + self.batch, max(self.want_sent, first)), self.state.kills
        left = max(self.want_kills - kills_first, 0)
        batches = max(1.0, (self.want_sent - first) / self.batch)
        quota = -(-left // batches)
        told = moved = clock.monotonic()
        while sent < goal or self.state.kills - kills_first < quota:
            time.sleep(self.rng.uniform(0.02, 0.1))
            fresh = self._sent()
            moved, sent = (clock.monotonic(), fresh) if fresh != sent else (moved, sent)
            share = (sent - first + 1) / max(goal - first, 1)
            if self.state.kills - kills_first < quota * min(share, 1.0):
                self._kill_somebody()
            if clock.monotonic() - told > 5:
                told = clock.monotonic()
                self._tell()
                self.state.approvals += setup.let_it_trade()
            if clock.monotonic() - moved > SILENT_S:
                raise Broken(f"Nothing was sent for {SILENT_S:g} s; see {self.folder}/children.log.")

    def _kill_somebody(self) -> None:
        if self.rng.random() < 0.5:
            self._wanted = self.rng.choice(("arrived", "applied", "answered"))
            return
        # Keepers more often than their number: they write what the others' orders became.
        self._kill(self.rng.choice((*world.WORKERS, "k0", "k0", "f0")))

    def _at_the_door(self, slot: str, stage: str) -> None:
        """Called by the venue's threads for every order on its way."""
        with self._lock:
            if self._wanted != stage:
                return
            self._wanted = ""
            pause = self.rng.uniform(0, 0.03)
        if stage == "answered":
            # Between the answer and what the worker makes of it.
            threading.Timer(pause, self._kill, (slot, True)).start()
        else:
            self._kill(slot, True)

    def _kill(self, slot: str, in_post: bool = False) -> None:
        if self.nest.kill(slot):
            with self._lock:
                self.state.kills += 1
                self.state.in_post += in_post

    # --- Comparing ----------------------------------------------------------------------------------------------

    def _compare(self) -> None:
        """Stop the workers and the market, let the keepers finish, compare."""
        from assets.trading.tests.torture import checker

        (self.folder / "pause").touch()
        self._wanted, self.venue.calm = "", True
        found = checker.doubled(self.folder)
        if not found:
            self._settle()
            with self.venue.book.lock:
                balances = {asset: held for asset, held in self.venue.book.balances.items() if held}
            found = checker.compare(self.folder, balances)
        self.state.batches += 1
        self._tell(end=f"  compared: {len(found)} violations\n")
        if found:
            for violation in found[:10]:
                print(checker.describe(violation, self.folder), flush=True)
            raise Broken(
                f"{len(found)} violations with seed {self.state.seed}; everything is in {self.folder}."
            )
        self.venue.calm = False
        (self.folder / "pause").unlink()

    def _settle(self) -> None:
        """Until nothing is in doubt and a reconciliation that began afterwards found both books equal."""
        from assets.trading.models import Account, Order

        began = clock.now()
        until = clock.monotonic() + SETTLE_S
        while clock.monotonic() < until:
            time.sleep(0.25)
            self.state.approvals += setup.let_it_trade()
            doubtful = Order.objects.filter(status__in=("new", "sending", "unknown", "cancel_pending"))
            if doubtful.exists():
                began = clock.now()
                continue
            row = Account.objects.get(name=world.ACCOUNT)
            times = (row.reconciled_at, row.balances_compared_at)
            if all(at is not None and at > began + timedelta(seconds=1) for at in times):
                return
        print(f"It did not settle within {SETTLE_S:g} s.", flush=True)

    def _command(self) -> None:
        """What an operator would run, on a process of its own."""
        (self.folder / "pause").touch()
        self.venue.calm = True
        where = {"TORTURE_VENUE": f"{self.venue.url}/checker"}
        done = subprocess.run(
            [sys.executable, "manage.py", "check_invariants", *world.CODES], cwd=ROOT, env=os.environ | where,
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        print(done.stdout, end="", flush=True)
        if done.returncode:
            raise Broken(f"check_invariants ended with {done.returncode}: {done.stderr[-2000:]}")

    # --- Telling ------------------------------------------------------------------------------------------------

    def _tell(self, end: str = "\n") -> None:
        from assets.trading.tests.torture import checker

        self.state.seconds = self.before_s + clock.monotonic() - self.began
        self.state.errors += self.nest.errors
        self.nest.errors = 0
        self.state.save(self.folder)
        now = checker.figures()
        doubt = now["sending"] + now["unknown"]
        rate = now["sent"] / max(self.state.seconds, 1)
        print(
            f"{self.state.seconds:6.0f} s  {now['intents']} intents, {now['sent']} sent ({rate:.1f}/s), {now['fills']} fills, "
            f"{self.state.kills} kills ({self.state.in_post} in the call), {doubt} in doubt",
            end=end, flush=True,
        )  # fmt: skip


def summary(torture: Torture, say: Callable[[str], None]) -> dict[str, Any]:
    """The figures of the whole, also those before a resumption."""
    from assets.trading.tests.torture import checker
    from assets.trading.tests.torture.venue import read_truth

    now = checker.figures()
    lines = list(read_truth(torture.folder / "truth.jsonl"))
    faults = Counter(f"{line['e']} {line['fault']}" for line in lines if line.get("fault"))
    told = asdict(torture.state) | {
        "intents": now.pop("intents"), "sent": now.pop("sent"), "fills": now.pop("fills"),
        "at_the_venue": dict(Counter(line["e"] for line in lines)), "faults": dict(sorted(faults.items())),
        "states": dict(sorted(now.items())),
    }  # fmt: skip
    say(json.dumps(told))
    return told
