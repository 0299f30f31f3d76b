"""A directory becomes a tortured system: its database, one account with money at the venue, forty instruments, prices."""

from __future__ import annotations

import os
import shutil
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from tradingsite.tests.faults.databases import SERVER, Database

if TYPE_CHECKING:
    from assets.trading.tests.torture.run import State


def start(folder: Path, seed: int, *, intents: int, kills: int, batch: int) -> int:
    """Begin or go on, and end with the exit code."""
    state = _open(folder, seed)
    from assets.trading.tests.torture import run, world

    world.shrink()
    engine = "PostgreSQL" if state.database else "SQLite"
    print(f"seed {state.seed}, {engine}, generation {state.generation}, {folder}", flush=True)
    torture = run.Torture(folder, state, intents, kills, batch)
    try:
        torture.run()
    except run.Broken as e:
        print(f"BROKEN: {e}", flush=True)
        return 1
    except KeyboardInterrupt:
        state.save(folder)
        print(f"Interrupted; go on with --resume {folder}", flush=True)
        return 130
    run.summary(torture, lambda line: print(line, flush=True))
    print(f"0 duplicates, 0 violations in {state.batches} comparisons. Seed {state.seed}.", flush=True)
    return 0


def remove(folder: Path) -> None:
    """Everything of a run that ended well."""
    from django.db import connections

    from assets.trading.tests.torture.run import State

    connections.close_all()
    name = State.load(folder).database
    if name:
        import psycopg

        with psycopg.connect(SERVER, autocommit=True) as link:
            link.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    shutil.rmtree(folder, ignore_errors=True)


def _open(folder: Path, seed: int) -> State:
    """Settings, database and state; everything that needs Django is imported after this."""
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "assets.trading.tests.torture.settings", "TORTURE_DIR": str(folder),
        "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).resolve().parents[4]),
    }  # fmt: skip
    from assets.trading.tests.torture.run import State

    is_new = not (folder / "state.json").exists()
    if is_new:  # it may have been interrupted before it began
        for name in ("db.sqlite3", "db.sqlite3-wal", "db.sqlite3-shm", "truth.jsonl"):
            (folder / name).unlink(missing_ok=True)
    state = State(seed=seed, database="") if is_new else State.load(folder)
    if is_new and SERVER:
        made = Database(SERVER, f"torture_{folder.name}")
        state.database = made.name
    elif bool(state.database) != bool(SERVER):
        sys.exit("This run began on the other kind of database.")
    if state.database:
        head, _, query = SERVER.partition("?")
        os.environ["TRADING_TEST_DATABASE_URL"] = f"{head.rpartition('/')[0]}/{state.database}" + (
            f"?{query}" if query else ""
        )
    os.environ["TORTURE_SEED"] = str(state.seed)
    state.generation += 1
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)  # also when it goes on: the code may be newer than the run
    if is_new:
        _build()
    state.save(folder)
    return state


def _build() -> None:
    from assets.trading.brokers import venue_keys
    from assets.trading.tests import kit
    from assets.trading.tests.torture import roles, world
    from assets.trading.tests.venues.binance import KEY, SECRET
    from tradingsite.foundation import audit, clock

    now = clock.now()
    for symbol in world.SYMBOLS:
        kit.instrument(symbol, base=symbol.removesuffix("USDT"), quote="USDT", venue="binance", is_demo=False)
    account = kit.account(
        currency="USDT", balance=str(world.OPENING), now=now, name=world.ACCOUNT, broker="binance", mode="live",
        is_demo=False, max_orders_per_minute=10**8,
    )  # fmt: skip
    venue_keys.store(account, KEY, SECRET, actor=audit.system("torture"), now=now)
    let_it_trade()
    kit.switch("running", now - timedelta(days=1))
    minute = world.minute_of(now)
    roles.store_bars(minute - 60, minute)


def let_it_trade() -> bool:
    """What a person does after a finding took the account's permission back. False when it has it."""
    from django.db import transaction

    from assets.trading.models import Account, LiveApproval
    from assets.trading.selectors import live
    from assets.trading.tests.torture import world
    from tradingsite.foundation import clock

    now = clock.now()
    with transaction.atomic():
        account = Account.objects.select_for_update().get(name=world.ACCOUNT)
        good = account.mode == "live" and account.state == "active"
        if good and live.is_approved(account.pk, account.asset_type, now):
            return False
        LiveApproval.objects.filter(account=account, revoked_at__isnull=True).update(revoked_at=now)
        LiveApproval.objects.create(
            account=account, approved_by="torture", approved_at=now, expires_at=now + timedelta(days=30)
        )
        Account.objects.filter(pk=account.pk).update(mode="live", state="active")
    return True
