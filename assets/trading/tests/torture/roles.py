"""What the processes do that get killed. They know nothing of the torture: real services, real clients, real clock."""

from __future__ import annotations

import logging
import os
import random
import time
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from assets.trading.tests.torture import world

SEED = os.environ.get("TORTURE_SEED", "1")


def preload() -> None:
    """Everything a child would import, once. No connection may be open when it is forked."""
    import ccxt  # noqa: F401
    import requests  # noqa: F401

    from assets.trading.brokers import binance  # noqa: F401
    from assets.trading.services import adoption, execution, protective_stops, reconciliation, recovery  # noqa: F401

    logging.disable(logging.CRITICAL)


def live(slot: str, folder: Path) -> None:
    from django.conf import settings

    settings.BINANCE_URL = f"{os.environ['TORTURE_VENUE']}/{slot}"
    {"w": _work, "k": _keep, "f": _feed}[slot[0]](slot, folder)


# --- Workers ------------------------------------------------------------------------------------------------------


def job_of(slot: str, folder: Path) -> int:
    path = folder / f"job-{slot}"
    return int(path.read_text()) if path.exists() else 0


def _work(slot: str, folder: Path) -> None:
    """Runs, one after the other. One that was killed is executed again, and sometimes two processes have the same one."""
    rng = random.Random(os.urandom(8))  # only when; what a run wants follows from the seed
    others = [name for name in world.WORKERS if name != slot]
    number = job_of(slot, folder)
    while True:
        while world.paused(folder):
            time.sleep(0.05)
        _execute(slot, number, folder, rng)
        if rng.random() < 0.05:
            other = rng.choice(others)
            _execute(other, job_of(other, folder), folder, rng)
        if rng.random() < 0.1:
            _cancel_one(rng)
        number += 1
        fresh = folder / f"job-{slot}.new"
        fresh.write_text(str(number))
        fresh.replace(folder / f"job-{slot}")


def _execute(slot: str, number: int, folder: Path, when: random.Random) -> None:
    from assets.trading.models import Account
    from assets.trading.services import execution
    from orchestrator.plugins import RunContext
    from tradingsite.foundation import clock
    from tradingsite.foundation.errors import Conflict, DomainError

    mood = when.random()

    def guard() -> None:
        if mood < 0.03:
            time.sleep(0.3)  # slow enough that everything is asked again before the call
        elif mood < 0.04:
            raise Conflict("Somebody else has this run.", code="superseded")

    now = clock.now()
    context = RunContext(
        run_id=0, epoch=0, workflow_id=0, slug=f"torture-{slot}", type_key="", params={},
        now=world.FIRST_SLOT + timedelta(seconds=number), entries_allowed=True, guard=guard,
    )  # fmt: skip
    account = Account.objects.get(name=world.ACCOUNT)
    try:
        report = execution.execute_targets(
            ctx=context, account=account, targets=_targets(slot, number), now=now
        )
    except DomainError:
        return
    if "not_reconciled" in report.denied or "rate_limited" in report.expired:
        time.sleep(0.1)  # a run has its rhythm; without one, refusals would be most of what is counted


def _targets(slot: str, number: int) -> list[Any]:
    from assets.trading.targets import Target

    rng = random.Random(f"{SEED}:{slot}:{number}")
    found = []
    for symbol in rng.sample(world.SYMBOLS, rng.choice((1, 3, 5, 8))):
        weight = 0.0 if rng.random() < 0.2 else round(rng.uniform(0.0005, 0.01), 5)
        limit = Decimal(f"{rng.uniform(99, 101):.2f}") if rng.random() < 0.25 else None
        found.append(Target(symbol=symbol, weight=weight, limit_price=limit, urgency=rng.random()))
    return found


def _cancel_one(rng: random.Random) -> None:
    from assets.trading.services import orders
    from tradingsite.foundation import audit, clock
    from tradingsite.foundation.errors import DomainError
    from tradingsite.foundation.transitions import IllegalTransition

    rows = orders.working()
    if rows:
        try:
            orders.cancel(
                rng.choice(rows).pk, actor=audit.system("torture"), now=clock.now(), reason="torture"
            )
        except (DomainError, IllegalTransition):
            return  # it ended, or is in doubt


# --- Keepers ------------------------------------------------------------------------------------------------------


def _keep(slot: str, folder: Path) -> None:
    from assets.trading.services import reconciliation, recovery
    from tradingsite.foundation import clock

    while True:
        recovery.recover(clock.now(), grace=world.GRACE)
        report = reconciliation.reconcile_all(clock.now())[world.ACCOUNT]
        _count(folder, slot, report.why or "ok")
        time.sleep(0.2)


def _feed(slot: str, folder: Path) -> None:
    from assets.trading.services import protective_stops, reconciliation
    from tradingsite.foundation import clock
    from tradingsite.foundation.errors import DomainError

    rounds = 0
    while True:
        now = clock.now()
        store_bars(world.minute_of(now) - 3, world.minute_of(now))
        try:
            protective_stops.keep(now)
        except DomainError:
            pass  # the venue or the switch; looked at again in a second
        if rounds % 5 == 0:
            reconciliation.reconcile_all(clock.now())
        rounds += 1
        time.sleep(1.0)


def store_bars(first: int, end: int) -> None:
    """Bars of the minutes first..end-1, those that are stored left out."""
    from assets.markets.models import Candle, Instrument, PriceSide

    rows = {row.symbol: row for row in Instrument.objects.filter(symbol__in=world.SYMBOLS)}
    made = []
    for symbol, row in rows.items():
        for minute in range(first, end):
            price = float(world.price_of(symbol, minute))
            made.append(Candle(
                instrument=row, timeframe="1m", side=PriceSide.TRADE, open_ts=minute * 60, open=price, high=price,
                low=price, close=price, volume=1.0,
            ))  # fmt: skip
    Candle.objects.bulk_create(made, ignore_conflicts=True)


_seen: Counter[str] = Counter()


def _count(folder: Path, slot: str, word: str) -> None:
    """What reconciliation said, for whoever wonders why nothing is sent."""
    _seen[word] += 1
    (folder / f"passes-{slot}").write_text(" ".join(f"{name}={n}" for name, n in sorted(_seen.items())))
