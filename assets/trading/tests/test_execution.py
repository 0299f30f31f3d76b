"""From targets to orders at the paper venue and back as positions (F02, F18, F73, I12, I15)."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal as D

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from assets.markets.models import Candle, PriceSide
from assets.trading import invariants, selectors
from assets.trading.models import Account, Fill, Intent, Order, OrderEvent, Position
from assets.trading.services import execution, matching, orders
from assets.trading.targets import Reason, Target
from assets.trading.tests import kit
from orchestrator.models import ControlSwitch
from tradingsite.foundation import clock
from tradingsite.foundation.errors import Conflict
from tradingsite.foundation.models import Alert, AuditEvent

pytestmark = pytest.mark.django_db
MINUTE = kit.MINUTE


class World:
    """One coin at 100, minutes before and after noon, a running switch."""

    def __init__(self, at: datetime, opens: list[float] | None = None, **values: object) -> None:
        self.at = at
        self.coin = kit.instrument()
        self.account = kit.account(**values)  # type: ignore[arg-type]
        kit.bars(self.coin, at - 5 * MINUTE, [100.0] * 5)
        kit.bars(self.coin, at, opens or [100.0] * 10)
        kit.switch()

    def execute(
        self, *targets: Target, now: datetime | None = None, **values: object
    ) -> execution.ExecutionReport:
        now = now or self.at
        ctx = values.pop("ctx", None) or kit.context(now, **values)  # type: ignore[arg-type]
        return execution.execute_targets(ctx=ctx, account=self.account, targets=targets, now=now)  # type: ignore[arg-type]

    def match_at(self, minutes: int) -> matching.MatchReport:
        now = self.at + minutes * MINUTE
        with clock.use(clock.FixedClock(now)):
            return matching.match(now)


def target(weight: float, **values: object) -> Target:
    return Target(symbol="AAABBB", weight=weight, reasons=(Reason(code="trend", value=1.5),), **values)  # type: ignore[arg-type]


def test_a_target_becomes_an_order_and_the_next_bars_open_fills_it(at: datetime) -> None:
    world = World(at, [110.0, 120.0])
    report = world.execute(target(0.5))
    assert (report.intents, report.sent, report.denied, report.changed) == (1, 1, {}, True)
    order = Order.objects.get()
    assert (order.status, order.quantity, order.sent_at, order.accepted_at) == ("accepted", D(50), at, at)
    assert world.match_at(0).fills == 0 and Fill.objects.count() == 0
    assert world.match_at(1).fills == 1
    fill = Fill.objects.get()
    # The bar that opens at the acceptance at 110, ten basis points against us.
    assert (fill.price, fill.at, fill.quantity) == (D("110.11"), at, D(50))
    assert fill.fee == D("5.5055")
    order.refresh_from_db()
    assert [e.event for e in OrderEvent.objects.order_by("pk")] == ["send", "accept", "fill"]
    assert order.status == "filled" and world.match_at(2).working == 0


def test_the_intent_keeps_reasons_and_the_formula(at: datetime) -> None:
    World(at).execute(target(0.5))
    intent = Intent.objects.get()
    assert intent.reasons == [{"code": "trend", "value": 1.5, "params": {}}]
    assert intent.sizing["weight"] == 0.5 and intent.sizing["equity"] == "10000"
    assert intent.key == f"toy-trading:{at.isoformat()}:AAABBB:buy:0"
    assert intent.valid_until == at + timedelta(minutes=5)


def test_an_order_accepted_within_a_bar_waits_for_the_next_one(at: datetime) -> None:
    world = World(at, [110.0, 120.0])
    later = at + timedelta(seconds=1)
    with clock.use(clock.FixedClock(later)):
        world.execute(target(0.5), now=later)
    assert world.match_at(1).fills == 0
    assert world.match_at(2).fills == 1
    assert Fill.objects.get().at == at + MINUTE


def test_the_same_run_twice_changes_nothing(at: datetime) -> None:
    world = World(at)
    ctx = kit.context(at)
    world.execute(target(0.5), ctx=ctx)
    Order.objects.update(status="cancelled")  # the position is as before, so the deltas are the same
    report = world.execute(target(0.5), ctx=ctx)
    assert (report.intents, report.sent, report.changed) == (0, 0, False)
    assert Order.objects.count() == 1


def test_working_orders_are_not_ordered_again_by_the_next_run(at: datetime) -> None:
    world = World(at)
    world.execute(target(0.5))
    report = world.execute(target(0.5), now=at + timedelta(seconds=20))
    assert report.intents == 0 and report.ignored == {"on_target": 1}


def test_reductions_are_sent_first_and_make_room(at: datetime) -> None:
    world = World(at)
    other = kit.instrument("CCCBBB")
    kit.bars(other, at - 5 * MINUTE, [10.0] * 10)
    world.execute(target(1.0))
    world.match_at(1)
    now = at + 2 * MINUTE
    with clock.use(clock.FixedClock(now)):
        report = world.execute(Target(symbol="CCCBBB", weight=0.9), target(0.0), now=now)
    assert report.sent == 2 and report.denied == {}
    assert list(Order.objects.order_by("pk").values_list("instrument__symbol", flat=True))[1:] == [
        "AAABBB",
        "CCCBBB",
    ]


def test_denied_is_a_row_with_rule_limit_and_value_not_an_exception(at: datetime) -> None:
    world = World(at, max_order_notional=D(1000))
    report = world.execute(target(0.5))
    assert report.denied == {"max_order_notional": 1} and not report.changed
    order = Order.objects.get()
    assert (order.status, order.status_code) == ("denied", "max_order_notional")
    assert order.status_detail == {"rule": "max_order_notional", "limit": "1000", "value": "5000.00"}
    assert OrderEvent.objects.get().event == "deny"


def test_a_short_needs_permission(at: datetime) -> None:
    assert World(at).execute(target(-0.5)).denied == {"short_not_allowed": 1}


def test_an_account_that_may_go_short_turns_through_zero_in_two_orders(at: datetime) -> None:
    world = World(at, allows_short=True, max_leverage=2.0)
    world.execute(target(0.5))
    world.match_at(1)
    now = at + 2 * MINUTE
    with clock.use(clock.FixedClock(now)):
        report = world.execute(target(-0.5), now=now)
    assert report.sent == 2
    assert list(Intent.objects.order_by("pk").values_list("side", "reduces"))[1:] == [
        ("sell", True),
        ("sell", False),
    ]
    world.match_at(3)
    assert Position.objects.get().quantity < 0
    assert invariants.positions_follow_from_fills(now) == invariants.cash_follows_from_positions(now) == []


def test_entries_paused_lets_exits_pass(at: datetime) -> None:
    world = World(at)
    world.execute(target(0.5))
    world.match_at(1)
    kit.switch("paused")
    now = at + 2 * MINUTE
    with clock.use(clock.FixedClock(now)):
        assert world.execute(target(0.8), now=now).denied == {"entries_paused": 1}
        report = world.execute(target(0.0), now=now + timedelta(seconds=1))
    assert report.sent == 1 and report.denied == {}


def test_a_run_that_may_not_enter_may_still_leave(at: datetime) -> None:
    world = World(at)
    assert world.execute(target(0.5), entries=False).denied == {"entries_paused": 1}


@pytest.mark.parametrize("missing", [True, False])
def test_nothing_is_sent_while_stopped_or_while_the_switch_is_missing(at: datetime, missing: bool) -> None:
    world = World(at)
    ControlSwitch.objects.all().delete() if missing else kit.switch("stopped")
    assert world.execute(target(0.5)).denied == {"stopped": 1}
    assert not OrderEvent.objects.filter(event="send").exists()


def test_a_stop_between_commit_and_send_holds_the_order_back(
    at: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(at)
    monkeypatch.setattr(
        execution, "crash_here", lambda name: name == "after_intent" and kit.switch("stopped", at)
    )
    report = world.execute(target(0.5))
    assert report.sent == 0 and report.expired == {"stopped": 1}
    assert Order.objects.get().status == "expired"
    assert invariants.nothing_is_sent_after_a_stop(at) == []


def test_a_process_that_slept_between_claim_and_call_asks_again(
    at: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(at)
    order = kit.order(world.account, world.coin, now=at)
    real_apply = orders._apply

    class Sleepy(clock.FixedClock):
        ticks = 0.0

        def monotonic(self) -> float:
            return self.ticks

    sleepy = Sleepy(at)

    def slow(row: Order, event: str, **values: object) -> Order:
        after = real_apply(row, event, **values)  # type: ignore[arg-type]
        if event == "send":
            sleepy.ticks = 30.0
            kit.switch("stopped", at)
        return after

    monkeypatch.setattr(orders, "_apply", slow)
    with clock.use(sleepy):
        after = orders.send_order(order.pk, guard=kit.nothing, now=at)
    assert (after.status, after.status_code) == ("expired", "stopped")


def test_a_superseded_run_sends_nothing_and_its_orders_end(at: datetime) -> None:
    world = World(at)

    def superseded() -> None:
        raise Conflict("taken over", code="superseded")

    with pytest.raises(Conflict):
        world.execute(target(0.5), guard=superseded)
    order = Order.objects.get()
    assert (order.status, order.status_code, order.sent_at) == ("expired", "superseded", None)


def test_stale_data_and_a_closed_market_deny(at: datetime) -> None:
    world = World(at)
    Candle.objects.filter(open_ts__gte=int((at - 4 * MINUTE).timestamp())).delete()
    assert world.execute(target(0.5)).denied == {"data_stale": 1}
    world.coin.calendar = "fx-week"
    world.coin.save(update_fields=["calendar"])
    saturday = at + timedelta(days=4)
    with clock.use(clock.FixedClock(saturday)):
        assert world.execute(target(0.5), now=saturday).denied == {"market_closed": 1}


def test_an_instrument_without_any_price_is_denied(at: datetime) -> None:
    world = World(at)
    kit.instrument("CCCBBB")
    assert world.execute(Target(symbol="CCCBBB", weight=0.1)).denied == {"price_unknown": 1}


def test_dust_is_ignored_not_denied(at: datetime) -> None:
    report = World(at).execute(target(0.0001))
    assert report.ignored == {"dust": 1} and not Order.objects.exists()


def test_too_many_orders_a_minute_trip_the_breaker_at_the_limit(at: datetime) -> None:
    world = World(at, max_orders_per_minute=2)
    for n in range(2):
        kit.order(world.account, world.coin, now=at - timedelta(seconds=30), key=f"old{n}", status="filled")
    report = world.execute(target(0.5))
    assert report.denied == {"order_rate": 1}
    assert Account.objects.get().state == "halted"
    assert Alert.objects.get().code == "order-rate-breaker"
    assert AuditEvent.objects.filter(action="account.halt").count() == 1
    assert world.execute(target(0.4), now=at + timedelta(seconds=40)).denied == {"account_halted": 1}


def test_an_exit_takes_back_the_entry_that_still_works(at: datetime) -> None:
    world = World(at, [100.0, 100.0])
    world.execute(target(0.5, limit_price=D(90)))
    report = world.execute(target(0.0), now=at + timedelta(seconds=30))
    assert report.ignored == {"on_target": 1}
    assert Order.objects.get().status == "cancelled"
    assert AuditEvent.objects.filter(action="order.cancel").count() == 1


def test_a_limit_order_fills_only_when_touched(at: datetime) -> None:
    world = World(at, [100.0, 100.0])
    kit.bars(world.coin, at + 10 * MINUTE, [])
    Candle.objects.filter(open_ts=int((at + MINUTE).timestamp())).update(low=89.0)
    world.execute(target(0.5, limit_price=D("90.004")))
    assert Intent.objects.get().limit_price == D(90)
    assert world.match_at(1).fills == 0
    assert world.match_at(2).fills == 1
    assert Fill.objects.get().price == D(90)


def test_a_thin_market_fills_in_parts_each_booked_once(at: datetime) -> None:
    world = World(at, [100.0] * 10)
    Candle.objects.filter(open_ts__gte=int(at.timestamp())).update(volume=200.0)
    world.execute(target(0.5))
    assert world.match_at(1).fills == 1
    assert Order.objects.get().status == "partially_filled"
    assert world.match_at(1).fills == 0
    assert world.match_at(3).fills == 2
    assert list(Fill.objects.order_by("pk").values_list("quantity", flat=True)) == [D(20), D(20), D(10)]
    assert Order.objects.get().status == "filled"
    assert invariants.fills_stay_inside_intents(at) == []


def test_what_the_market_cannot_fill_in_time_expires(at: datetime) -> None:
    world = World(at, [100.0] * 10)
    Candle.objects.filter(open_ts__gte=int(at.timestamp())).update(volume=20.0)
    world.execute(target(0.5))
    report = world.match_at(10)
    order = Order.objects.get()
    # Five bars opened inside its five minutes, two coins each.
    assert (report.fills, report.expired, order.status, order.filled_quantity) == (5, 1, "expired", D(10))
    assert invariants.finished_orders_say_when(at) == []


def test_bid_and_ask_bars_are_used_where_stored(at: datetime) -> None:
    world = World(at)
    kit.bars(world.coin, at, [101.0, 101.0], side=PriceSide.ASK)
    kit.bars(world.coin, at, [99.0, 99.0], side=PriceSide.BID)
    world.execute(target(0.5))
    world.match_at(1)
    assert Fill.objects.get().price == D("101.06")  # 101 and five basis points of slippage, up to the tick


def test_equity_and_rows_are_exact(at: datetime) -> None:
    world = World(at, [100.0, 120.0])
    world.execute(target(0.5))
    world.match_at(1)
    now = at + 2 * MINUTE
    with clock.use(clock.FixedClock(now)):
        equity = selectors.equity(world.account, now)
        [row] = selectors.positions(world.account, now)
    # 50 coins bought at 100.10 with a fee of 5.005, worth 120 now.
    assert (equity.cash, equity.equity) == (D("4989.995"), D("10989.995"))
    assert (equity.unrealised, equity.realised, equity.exposure) == (D(995), D("-5.005"), D(6000))
    assert (row.average_price, row.value, row.unrealised) == (D("100.1"), D(6000), D(995))
    assert not equity.stale and equity.unconverted == ()


def test_matching_asks_once_while_nothing_works(at: datetime) -> None:
    World(at)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert matching.match(at).working == 0
    assert len(queries) == 1


def test_an_executed_order_stays_within_its_query_budget(at: datetime) -> None:
    world = World(at)
    world.execute(target(0.2))
    world.match_at(1)
    now = at + 2 * MINUTE
    ctx = kit.context(now)
    with clock.use(clock.FixedClock(now)), CaptureQueriesContext(connection) as sending:
        world.execute(target(0.5), now=now, ctx=ctx)
    with CaptureQueriesContext(connection) as filling:
        assert world.match_at(3).fills == 1
    skip = ("SAVEPOINT", "RELEASE", "BEGIN", "COMMIT")
    own = [
        [
            q["sql"]
            for q in queries
            if not q["sql"].startswith(skip) and "markets_" not in q["sql"].split("FROM")[-1][:20]
        ]
        for queries in (sending, filling)
    ]
    # The last read before an entry leaves is the standing of its workflow, which may have changed under way. Two or
    # (PostgreSQL) three make sure that nobody took room under the account's limits since the gate.
    # Six of them only when something is entered: what was lost, what moves together, what is locked.
    assert len(own[0]) <= 31 and len(own[1]) <= 16, [len(rows) for rows in own]


def test_a_run_with_nothing_to_do_is_cheap(at: datetime) -> None:
    world = World(at)
    world.execute(target(0.5))
    ctx = kit.context(at + timedelta(seconds=1))
    with CaptureQueriesContext(connection) as queries:
        assert world.execute(target(0.5), now=at + timedelta(seconds=1), ctx=ctx).intents == 0
    assert len(queries) <= 12
