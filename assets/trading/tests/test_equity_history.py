"""Old equity is kept by the hour, then by the day; peaks survive. Runs that made orders are never forgotten."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal as D

import pytest

from assets.trading import invariants as trading_invariants
from assets.trading.models import EquityPoint, Intent
from assets.trading.services import equity_history
from assets.trading.tests import kit
from assets.trading.tests.test_execution import World, target
from orchestrator.models import Decision, Run
from orchestrator.services import retention as runs_retention
from tradingsite.foundation import clock, invariants, retention

pytestmark = pytest.mark.django_db
NOW = datetime(2024, 5, 14, 12, 34, 56, tzinfo=UTC)
DAY = timedelta(days=1)


def _points(since: datetime, until: datetime, every: timedelta = kit.MINUTE, name: str = "toy") -> None:
    account = kit.account(name=name, asset_type=name)
    count = int((until - since) / every)
    EquityPoint.objects.bulk_create(
        EquityPoint(
            account=account, at=since + n * every, equity=D(n % 97), cash=D(0), unrealised=D(0), peak=D(min(n, 96))
        )
        for n in range(count)
    )  # fmt: skip


def test_old_minutes_become_hours_and_old_hours_days() -> None:
    _points(NOW - 16 * DAY, NOW - 12 * DAY)
    _points(NOW - 400 * DAY, NOW - 360 * DAY, timedelta(hours=1), name="other")
    counts = equity_history.thin(NOW, kit.nothing)
    mine = EquityPoint.objects.filter(account__name="toy")
    old = mine.filter(at__lt=(NOW - 14 * DAY).replace(minute=0, second=0))
    # Two days of whole hours and the half one they begin with; the last minute of each stays.
    assert old.count() == 48 and {at.minute for at in old.values_list("at", flat=True)} == {59}
    assert mine.exclude(pk__in=old).count() == 2 * 1440 + 34  # from 12:00 on nothing was touched
    other = EquityPoint.objects.filter(account__name="other")
    days = other.filter(at__lt=(NOW - 365 * DAY).replace(hour=0, minute=0, second=0))
    assert {at.hour for at in days.values_list("at", flat=True)} == {23}
    assert days.count() == 35
    assert counts["equity_points"] == 4 * 1440 + 40 * 24 - EquityPoint.objects.count()
    assert equity_history.thin(NOW, kit.nothing) == {"equity_points": 0}


def test_the_newest_point_and_the_highest_peak_survive_whatever_their_age() -> None:
    _points(NOW - 500 * DAY, NOW - 499 * DAY)
    newest = EquityPoint.objects.latest("at")
    equity_history.thin(NOW, kit.nothing)
    assert EquityPoint.objects.latest("at") == newest
    assert EquityPoint.objects.latest("at").peak == D(96)


def test_no_transaction_is_larger_than_a_thousand_points() -> None:
    _points(NOW - 20 * DAY, NOW - 15 * DAY)
    asked: list[int] = []
    gone = equity_history.thin(NOW, lambda: asked.append(EquityPoint.objects.count()))["equity_points"]
    steps = [before - after for before, after in zip(asked, asked[1:], strict=False)]
    assert gone > 7000 and max(steps) <= retention.LARGEST_PORTION


def test_pieces_of_reading_leave_no_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    _points(NOW - 17 * DAY, NOW - 16 * DAY)
    monkeypatch.setattr(equity_history, "_READ", 60)
    equity_history.thin(NOW, kit.nothing)
    hours = [at.replace(minute=0, second=0) for at in EquityPoint.objects.values_list("at", flat=True)]
    assert len(hours) == len(set(hours)) == 25


def test_runs_that_made_an_order_and_their_decisions_stay_and_the_books_hold(at: datetime) -> None:
    world = World(at, [110.0, 120.0])
    world.execute(target(0.5))
    world.match_at(1)
    run = Run.objects.get()
    decision = Decision.objects.create(
        workflow_id=run.workflow_id, decided_at=at, last_seen_at=at, fold_key="k", action="run", interval_after_s=60,
        priority=2, log_interval=0.0, rule_version="1",
    )  # fmt: skip
    Run.objects.update(status="succeeded", finished_at=at, decision=decision)
    idle = kit.run(at + kit.MINUTE)
    Run.objects.filter(pk=idle.pk).update(status="succeeded", finished_at=at)
    kit.run(at + 2 * kit.MINUTE)
    later = at + 200 * DAY
    with clock.use(clock.FixedClock(later)):
        assert runs_retention.forget_old(later, kit.nothing)["runs"] == 1
        retention.forget_old(later, guard=kit.nothing)
        broken = [
            r for r in invariants.run(later, ("I1", "I2", "I3", "I5", "I6", "I7", "I12", "I14")) if not r.ok
        ]
    assert broken == [] and trading_invariants.fills_stay_inside_intents(later) == []
    assert Intent.objects.get().run_id == run.pk and Decision.objects.get() == decision
    assert not Run.objects.filter(pk=idle.pk).exists()
