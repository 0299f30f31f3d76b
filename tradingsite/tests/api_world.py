"""A small world for API tests: every resource has rows, made by the services and the engine that make them in life."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from assets.markets.models import Instrument, Quote
from assets.markets.services import candles, instruments
from assets.markets.testkit.bars import walk
from assets.trading.models import Account, Discrepancy, Intent, Order
from assets.trading.services import accounts, fills
from orchestrator.engine.counterfactuals import Inputs
from orchestrator.engine.serialise import decision_to_row
from orchestrator.engine.types import Bounds, Conditions, Exposure, History, HostLoad, Subject
from orchestrator.models import Decision, HealthEvent, Lease, ProcessBeat, Run, RunEvent, RunStep, Workflow
from orchestrator.services import control, workflows
from tradingsite.foundation import alerts, audit, tokens
from tradingsite.foundation.ids import client_order_id
from tradingsite.foundation.testkit import make_user
from tradingsite.foundation.tests.notifykit import make_channel

ACTOR = audit.Actor("user", "1", "Alice")
S = timedelta(seconds=1)


@dataclass
class World:
    workflow: Workflow
    run: Run
    decision: Decision
    instrument: Instrument
    order: Order | None
    alert: Any
    token: Any


def make_decision(workflow: Workflow, at: datetime, volatility: float = 0.9) -> Decision:
    """What the engine decides for this volatility, stored."""
    bounds = Bounds(
        min_s=workflow.min_interval_s, base_s=workflow.base_interval_s, max_s=workflow.max_interval_s
    )
    subject = Subject(key=workflow.slug, bounds=bounds, is_trading=True)
    conditions = Conditions(
        as_of=at - 20 * S, volatility=volatility, trend=0.4, data_age_s=20.0, data_age_limit_s=120.0
    )
    history = History(last_run_at=at - timedelta(hours=30), interval_s=workflow.base_interval_s)
    inputs = Inputs(subject, conditions, Exposure(open_positions=1), HostLoad(cpu=0.3, ram=0.4), history, at)
    decision = inputs.decide()
    parts = {name: getattr(inputs, name) for name in ("subject", "conditions", "exposure", "load", "history")}
    row = decision_to_row(decision, **parts, now=at)
    return Decision.objects.create(workflow=workflow, **row)


def make_run(workflow: Workflow, at: datetime, status: str = "succeeded", **values: Any) -> Run:
    """A run that was due at `at`, started 0.4 s later and took 2 s."""
    ended = status not in ("planned", "queued", "running")
    defaults: dict[str, Any] = {
        "slot_at": at, "status": status, "cause": "cadence", "lane": "trading", "priority": 1, "planned_at": at,
        "queued_at": at, "started_at": at + 0.4 * S if status != "planned" else None, "epoch": 1, "attempts": 1,
        "finished_at": at + 2.4 * S if ended else None, "expires_at": at + 600 * S, "cpu_s": 0.25, "api_weight": 3,
        "changed": True if status == "succeeded" else None, "result": {"orders": 1},
        "error_code": "" if status != "failed" else "RuntimeError",
    }  # fmt: skip
    return Run.objects.create(workflow=workflow, **(defaults | values))


def build(at: datetime) -> World:
    """Four asset types with everything in them, simulated feed."""
    control.start(ACTOR, at, "test")
    workflows.sync_from_plugins(at)
    instruments.sync_universe(at)
    accounts.ensure_paper_accounts(at, is_demo=True)
    accounts.ensure_paper_accounts(at, is_demo=False)
    for workflow in Workflow.objects.all():
        _history(workflow, at)
    workflow = Workflow.objects.exclude(asset_type="").order_by("pk").first()
    assert workflow is not None
    orders = [_trade(account, at) for account in Account.objects.filter(is_demo=True)]
    _watch(at)
    Discrepancy.objects.create(
        account=orders[0].account,
        kind="balance",
        subject="USDT",
        ours="1",
        theirs="2",
        first_seen_at=at,
        last_seen_at=at,
    )
    alert = alerts.raise_alert(key="feed:stale", code="feed-stale", severity="warning", subject="BTC", now=at)
    alerts.raise_alert(
        key="disk", code="disk-low", severity="critical", now=at - 60 * S, params={"free_mb": 3}
    )
    make_channel(make_user("notified"), at)
    run = Run.objects.filter(workflow=workflow, status="succeeded").order_by("-slot_at").first()
    decision = Decision.objects.filter(workflow=workflow).order_by("-pk").first()
    assert run is not None and decision is not None
    return World(workflow, run, decision, orders[0].instrument, orders[0], alert, None)


def small(at: datetime) -> World:
    """One of each thing that has an address of its own."""
    control.start(ACTOR, at, "test")
    workflow = next(row for row in workflows.sync_from_plugins(at) if row.asset_type)
    instruments.sync_universe(at)
    accounts.ensure_paper_accounts(at, is_demo=True)
    decision = make_decision(workflow, at)
    instrument = Instrument.objects.filter(is_demo=True).order_by("pk")[0]
    alert = alerts.raise_alert(key="feed:stale", code="feed-stale", severity="warning", subject="BTC", now=at)
    owner = make_user("owner", "admin")
    account = Account.objects.get(asset_type=instrument.asset_type, is_demo=True)
    order = _order(account, instrument, "small", at)
    token = tokens.issue(user=owner, name="spare", scopes=["read"], actor=ACTOR, now=at).token
    return World(
        workflow, make_run(workflow, at, decision=decision), decision, instrument, order, alert, token
    )


def _history(workflow: Workflow, at: datetime) -> None:
    for index in range(3):
        decision = make_decision(workflow, at - timedelta(minutes=30 - index), 0.3 + 0.3 * index)
        run = make_run(
            workflow,
            at - timedelta(minutes=20 - index),
            "failed" if index == 0 else "succeeded",
            decision=decision,
        )
        RunStep.objects.create(
            run=run,
            position=1,
            name="look",
            status="succeeded",
            started_at=run.started_at,
            finished_at=run.finished_at,
            summary={"seen": 3},
        )
        RunEvent.objects.create(
            row=run, event="claim", from_status="queued", to_status="running", at=run.slot_at, epoch=1
        )
    make_run(workflow, at, "queued", started_at=None)


def _trade(account: Account, at: datetime) -> Order:
    rows = list(Instrument.objects.filter(asset_type=account.asset_type, is_demo=True)[:3])
    for seed, row in enumerate(rows):
        candles.store(
            row, "1m", walk(120, start=at - timedelta(minutes=120), seed=seed + 1), source="test", now=at
        )
        if seed:
            Quote.objects.create(instrument=row, last=101.0, bid=100.9, ask=101.1, at=at - S, received_at=at)
    first: Order | None = None
    for number, row in enumerate(rows):
        order = _order(account, row, f"{account.pk}-{number}", at - timedelta(minutes=5))
        fills.book(
            order,
            f"t-{order.pk}",
            Decimal(2),
            Decimal("100.5"),
            Decimal("0.1"),
            row.quote,
            at - timedelta(minutes=4),
        )
        first = first or Order.objects.select_related("instrument").get(pk=order.pk)
    _order(account, rows[0], f"{account.pk}-open", at)
    assert first is not None
    return first


def _order(account: Account, row: Instrument, key: str, at: datetime) -> Order:
    intent = Intent.objects.create(
        account=account,
        instrument=row,
        key=key,
        side="buy",
        quantity=Decimal(2),
        reference_price=Decimal("100.25"),
        reasons=[{"code": "momentum", "value": 1.5, "params": {"n": 3}}],
        workflow_slug=account.asset_type,
        created_at=at,
        valid_until=at + 300 * S,
    )
    return Order.objects.create(
        intent=intent,
        account=account,
        instrument=row,
        client_id=client_order_id(key),
        side="buy",
        quantity=Decimal(2),
        filled_quantity=Decimal(0),
        status="accepted",
        created_at=at,
        sent_at=at,
        accepted_at=at,
        venue_id=f"v-{key}",
    )


def _watch(at: datetime) -> None:
    for role in ("loop", "feed", "workers:trading"):
        ProcessBeat.objects.create(
            name=f"{role}@host:1",
            role=role,
            host="host",
            pid=1,
            started_at=at - timedelta(hours=1),
            beat_at=at - S,
            info={"rss_mb": 80.5},
        )
    HealthEvent.objects.create(
        component="queue",
        subject="trading",
        code="backlog",
        severity="warning",
        opened_at=at - 60 * S,
        last_seen_at=at,
        detail={"oldest_s": 50.0},
        remedy="requeue",
        remedy_at=at - 30 * S,
        remedy_result="rang again",
        remedy_count=1,
    )
    Lease.objects.create(name="leader", holder="loop@host:1", epoch=3, expires_at=at + 10 * S)
