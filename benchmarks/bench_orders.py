"""How fast orders are judged, committed and sent, and how many a second several workers manage, each filled and booked.

    python benchmarks/bench_orders.py [--orders 400] [--seconds 10] [--workers 4]

SQLite in a temporary directory; with TRADING_TEST_DATABASE_URL set (for instance by `.ci/postgres`), PostgreSQL. The paper
broker answers at once, so what is measured is ours. At the end the ledger must sum to exactly 0 and every position must
follow from its fills.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tradingsite.settings.test")
os.environ.setdefault("TEST_DB_SUFFIX", "bench-orders")

STEP = 0.0002  # of equity per order


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=int, default=400)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--workers", type=int, default=4)
    options = parser.parse_args()

    import logging

    import django
    from django.test.utils import setup_databases, teardown_databases

    django.setup()
    logging.disable(logging.WARNING)
    databases = setup_databases(verbosity=0, interactive=False)
    try:
        from django.db import connection

        sys.stdout.write(f"{connection.vendor}\n")
        desks = [furnish(number) for number in range(options.workers)]
        latency(desks[0], options.orders)
        throughput(desks, options.seconds)
        verify()
    finally:
        teardown_databases(databases, verbosity=0)


def furnish(number: int) -> tuple[int, str]:
    """An account of its own with one coin; returns its id and the coin's symbol."""
    from assets.trading.tests import kit
    from tradingsite.foundation import clock

    now = clock.now()
    kit.switch(at=now - kit.MINUTE)
    symbol = f"C{number:02}BBB"
    row = kit.instrument(symbol, asset_type=f"toy{number}", min_notional=Decimal("0.01"), lot_step=Decimal("0.000001"),
                         min_quantity=Decimal("0.000001"))  # fmt: skip
    start = now.replace(second=0, microsecond=0)
    kit.bars(row, start - 60 * kit.MINUTE, [100.0] * 62)
    account = kit.account(
        balance="1000000", name=f"toy{number}", asset_type=f"toy{number}", max_orders_per_minute=1_000_000,
        max_daily_loss_ratio=0.5, max_drawdown_ratio=0.5, max_correlated_ratio=5.0, price_band_ratio=0.05,
    )  # fmt: skip
    return account.pk, symbol


def one(account: Any, symbol: str, number: int, run: Any) -> None:
    """One target a little further than the last, executed and filled."""
    from assets.trading.models import Order
    from assets.trading.services import execution, fills
    from assets.trading.targets import Target
    from assets.trading.tests import kit
    from tradingsite.foundation import clock

    now = clock.now()
    ctx = kit.context(now, row=run)
    ctx.run_id, ctx.slug = 0, f"bench-{account.pk}"
    report = execution.execute_targets(
        ctx=ctx, account=account, targets=[Target(symbol=symbol, weight=STEP * number)], now=now
    )
    assert report.sent == 1, report
    order = Order.objects.filter(account=account).latest("pk")
    fills.book(order, f"{order.client_id}-1", order.quantity, Decimal(100), Decimal("0.01"), "BBB", now)


def latency(desk: tuple[int, str], orders: int) -> None:
    from assets.trading.brokers.paper import PaperBroker
    from assets.trading.models import Account
    from assets.trading.services import execution
    from assets.trading.tests import kit
    from tradingsite.foundation import clock

    account, symbol = Account.objects.get(pk=desk[0]), desk[1]
    run = kit.run(clock.now(), slug="bench")
    called: list[float] = []
    judged: list[float] = []
    place, gate_all = PaperBroker.place, execution.gate_all

    def noted(self: Any, request: Any) -> Any:
        called.append(time.perf_counter())
        return place(self, request)

    def timed(*args: Any) -> Any:
        began = time.perf_counter()
        try:
            return gate_all(*args)
        finally:
            judged.append(time.perf_counter() - began)

    PaperBroker.place, execution.gate_all = noted, timed  # type: ignore[method-assign]
    until_call = []
    try:
        for number in range(1, orders + 1):
            began = time.perf_counter()
            one(account, symbol, number, run)
            until_call.append(called[-1] - began)
    finally:
        PaperBroker.place, execution.gate_all = place, gate_all  # type: ignore[method-assign]
    say("risk check, with everything it reads", judged, 2.0)
    say("target to the broker's call (sized, judged, committed, claimed)", until_call, 50.0)


def say(what: str, seconds: list[float], target_ms: float) -> None:
    ordered = sorted(1000 * value for value in seconds)
    p50, p99 = statistics.median(ordered), ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
    sys.stdout.write(
        f"{what}: p50 {p50:.2f} ms, p99 {p99:.2f} ms (target p99 {target_ms:g} ms), n {len(ordered)}\n"
    )


def throughput(desks: list[tuple[int, str]], seconds: float) -> None:
    from django.db import connections

    connections.close_all()
    context = multiprocessing.get_context("fork")
    counts = context.Queue()
    began = time.perf_counter()
    workers = [context.Process(target=work, args=(desk, seconds, counts)) for desk in desks]
    for worker in workers:
        worker.start()
    total = sum(counts.get(timeout=seconds + 60) for _worker in workers)
    for worker in workers:
        worker.join()
    took = time.perf_counter() - began
    sys.stdout.write(
        f"{len(desks)} workers: {total} orders filled and booked in {took:.1f} s, {total / took:.0f} orders/s (target 100)\n"
    )


def work(desk: tuple[int, str], seconds: float, counts: Any) -> None:
    from assets.trading.models import Account, Order
    from assets.trading.tests import kit
    from tradingsite.foundation import clock

    account, symbol = Account.objects.get(pk=desk[0]), desk[1]
    run = kit.run(clock.now(), slug=f"bench-{desk[0]}")
    number, done, until = Order.objects.filter(account=account).count(), 0, time.perf_counter() + seconds
    while time.perf_counter() < until:
        number += 1
        one(account, symbol, number, run)
        done += 1
    counts.put(done)


def verify() -> None:
    from assets.trading import invariants
    from tradingsite.foundation import clock

    now = clock.now()
    broken = [
        *invariants.journals_balance(now), *invariants.cash_follows_from_positions(now),
        *invariants.fills_stay_inside_intents(now), *invariants.positions_follow_from_fills(now),
    ]  # fmt: skip
    sys.stdout.write(
        "ledger exact, positions follow from fills\n" if not broken else f"BROKEN: {broken[:5]}\n"
    )
    if broken:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
