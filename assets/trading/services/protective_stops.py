"""The keeper of the stops: every open position has one, it follows the price, and whoever is beyond it is closed.

Call `keep` every second and after each bar of a replay. It looks at how things stand, not at what changed, so a crash
anywhere is mended by the next call. A level is judged against the bars that closed since the last look and against the
newest price; the exit is an order like any other: gated, committed, then sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import IntegrityError, transaction
from django.db.models import Q

from assets.markets import hub, timeframes
from assets.quant import trailing
from assets.quant.trailing import Noise, Stop, StopRule
from assets.trading import registry
from assets.trading.market import Look, look_at
from assets.trading.models import Account, Position, ProtectiveStop
from assets.trading.services import execution, orders, risk_facts
from assets.trading.targets import Reason, Target
from orchestrator.models import Workflow
from orchestrator.plugins import RunContext
from orchestrator.services import control
from tradingsite.foundation import alerts, statements
from tradingsite.foundation.crash import crash_here

SLUG: Final = risk_facts.STOP_SLUG
RETRY_AFTER: Final = timedelta(seconds=60)
_MOST_BARS: Final = 2000
_Status = ProtectiveStop.Status
# Asked every second and at every bar of a replay: one statement when nothing is open.
_ANY: Final = (
    "SELECT EXISTS (SELECT 1 FROM trading_position WHERE opened_at IS NOT NULL) "
    "OR EXISTS (SELECT 1 FROM trading_protectivestop WHERE status <> 'closed')"
)


@dataclass(kw_only=True, slots=True)
class StopReport:
    """What one look did."""

    placed: int = 0
    moved: int = 0
    hit: int = 0
    exits: int = 0
    closed: int = 0


@dataclass(frozen=True, slots=True)
class _Held:
    """An open position with what its stop needs to know."""

    position: Position
    rule: StopRule
    policy: registry.StopPolicy
    newest: hub.Newest | None
    look: Look


def keep(now: datetime) -> StopReport:
    """Place, move, hit and close stops; send the exits of those that are hit. Idempotent. Never inside a transaction."""
    report = StopReport()
    ((anything,),) = statements.rows(_ANY, ())
    if not anything:
        return report
    positions = Position.objects.filter(Q(opened_at__isnull=False) | Q(stops__status__in=("active", "hit")))
    found = {p.pk: p for p in positions.select_related("account", "instrument").order_by("pk")}
    stops = {s.position_id: s for s in ProtectiveStop.objects.exclude(status=_Status.CLOSED)}
    for pk, stop in list(stops.items()):
        position = found[pk]
        if not position.quantity or (position.quantity > 0) != stop.is_long:
            report.closed += _close(stop, now)
            del stops[pk]
    held = _held([p for p in found.values() if p.quantity], now)
    for one in held:
        mine = stops.get(one.position.pk)
        if mine is None:
            mine = _place(one, now)
            report.placed += mine is not None
        elif mine.status == _Status.ACTIVE:
            _watch(one, mine, now, report)
        if mine is not None and mine.status == _Status.HIT:
            report.exits += _exit(one, mine, now)
    return report


def _held(positions: Iterable[Position], now: datetime) -> list[_Held]:
    rows = list(positions)
    instruments = {p.instrument_id: p.instrument for p in rows}
    newest, looks = hub.newest(instruments.values(), now), look_at(instruments.values(), now)
    rules: dict[str, tuple[StopRule, registry.StopPolicy]] = {}
    for position in rows:
        kind = position.account.asset_type
        if kind not in rules:
            policy = registry.stop_policy(kind)
            rules[kind] = policy.rule(_params(kind)), policy
    return [
        _Held(p, *rules[p.account.asset_type], newest[p.instrument_id], looks[p.instrument_id]) for p in rows
    ]


def _params(asset_type: str) -> Mapping[str, Any]:
    """Parameters of the workflow that trades the type; its defaults when there is none."""
    rows = Workflow.objects.filter(asset_type=asset_type).exclude(status=Workflow.Status.ARCHIVED)
    found: Mapping[str, Any] | None = rows.order_by("pk").values_list("params", flat=True).first()
    return found or {}


def _noise(one: _Held, now: datetime) -> Noise:
    rule, newest = one.rule, one.newest
    if rule.low == rule.high or newest is None:  # the distance is fixed, whatever the market does
        return trailing.UNKNOWN
    name = max(one.policy.bars, newest.timeframe, key=timeframes.seconds)
    series = hub.series(one.position.instrument, name, end=now, limit=trailing.USUAL_BARS)
    return trailing.noise(series.high, series.low, series.close, timeframes.seconds(name))


def _place(one: _Held, now: datetime) -> ProtectiveStop | None:
    position = one.position
    assert position.opened_at is not None
    noise, entry = _noise(one, now), float(position.cost / position.quantity)
    stop = trailing.place(
        one.rule, entry=entry, is_long=position.quantity > 0, atr_ratio=noise.atr_ratio, regime=noise.regime,
        now_s=position.opened_at.timestamp(),
    )  # fmt: skip
    crash_here("before_stop")
    try:
        with transaction.atomic():
            return ProtectiveStop.objects.create(
                position=position, acts=one.policy.acts, is_long=stop.is_long, entry=stop.entry, risk=stop.risk,
                best=stop.best, level=stop.level, cause=stop.cause, opened_at=position.opened_at, placed_at=now,
                moved_at=now, bar_ts=one.newest.close_ts if one.newest is not None else int(now.timestamp()),
            )  # fmt: skip
    except IntegrityError:
        return None  # another keeper was faster; it is seen at the next look


def _watch(one: _Held, row: ProtectiveStop, now: datetime, report: StopReport) -> None:
    """Judge the level against what happened since the last look, then tighten it."""
    before = stop = _value(row)
    entry = float(one.position.cost / one.position.quantity)
    if entry != stop.entry:
        stop = trailing.with_entry(stop, entry)
    stop, cause, price = _through_bars(one, stop, row.bar_ts, now)
    if not cause and one.look.usable and one.look.price is not None:
        price = float(one.look.price)
        cause = trailing.verdict(one.rule, stop, price=price, now_s=now.timestamp())
    newest_ts = max(row.bar_ts, one.newest.close_ts) if one.newest is not None else row.bar_ts
    if cause and row.acts:
        report.hit += _hit(row, stop, cause, price, newest_ts, now)
        return
    if not row.acts:
        _tell(one, row, stop, cause, now)
    if stop != before or newest_ts != row.bar_ts:
        report.moved += _store(row, stop, newest_ts, now)


def _through_bars(one: _Held, stop: Stop, bar_ts: int, now: datetime) -> tuple[Stop, str, float]:
    """The stop after the bars that closed since `bar_ts`, why one of them hit it (or nothing), and at which price.

    Within a bar the worse end counts first: what came first nobody knows.
    """
    newest = one.newest
    if newest is None or newest.open_ts < bar_ts:
        return stop, "", 0.0
    count = (newest.close_ts - bar_ts) // timeframes.seconds(newest.timeframe)
    limit = max(1, min(count, _MOST_BARS))
    series = hub.series(one.position.instrument, newest.timeframe, end=now, limit=limit)
    noise = _noise(one, now)
    worst, best = (series.low, series.high) if stop.is_long else (series.high, series.low)
    for worse, better, ts in zip(worst.tolist(), best.tolist(), series.ts.tolist(), strict=True):
        if ts < bar_ts:
            continue
        # A warning is about where the price is now; what closes a position is where it has been.
        cause = trailing.verdict(one.rule, stop, price=worse, now_s=float(ts)) if one.policy.acts else ""
        if cause:
            return stop, cause, worse
        stop = trailing.move(one.rule, stop, best=better, atr_ratio=noise.atr_ratio, regime=noise.regime)
    return stop, "", 0.0


def _value(row: ProtectiveStop) -> Stop:
    return Stop(
        entry=row.entry, is_long=row.is_long, opened_s=row.opened_at.timestamp(), risk=row.risk, best=row.best,
        level=row.level, cause=row.cause,
    )  # fmt: skip


def _store(row: ProtectiveStop, stop: Stop, bar_ts: int, now: datetime) -> int:
    is_moved = stop.level != row.level
    updates: dict[str, Any] = {
        "entry": stop.entry, "best": stop.best, "level": stop.level, "cause": stop.cause, "bar_ts": bar_ts
    }  # fmt: skip
    if is_moved:
        updates["moved_at"] = now
    mine = ProtectiveStop.objects.filter(pk=row.pk, status=_Status.ACTIVE)
    return int(mine.update(**updates) == 1 and is_moved)


def _hit(row: ProtectiveStop, stop: Stop, cause: str, price: float, bar_ts: int, now: datetime) -> int:
    mine = ProtectiveStop.objects.filter(pk=row.pk, status=_Status.ACTIVE)
    changed = mine.update(
        status=_Status.HIT,
        best=stop.best,
        level=stop.level,
        cause=cause,
        bar_ts=bar_ts,
        hit_at=now,
        hit_price=price,
    )
    if changed == 1:
        row.refresh_from_db()
    return changed


def _close(row: ProtectiveStop, now: datetime) -> int:
    mine = ProtectiveStop.objects.filter(pk=row.pk).exclude(status=_Status.CLOSED)
    alerts.resolve_alert(_alert_key(row.position_id), now)
    return mine.update(status=_Status.CLOSED, closed_at=now)


def _exit(one: _Held, row: ProtectiveStop, now: datetime) -> int:
    """Send what closes the position, unless it is not possible now or under way already. Returns orders sent."""
    view = one.look
    if (row.next_try_at is not None and now < row.next_try_at) or not (view.usable and view.is_open):
        return 0
    if not control.current().orders_allowed:
        return 0
    gain = (row.hit_price or row.level) / row.entry - 1.0
    reason = Reason(
        code="stop_hit",
        value=gain if row.is_long else -gain,
        params={"stop_ratio": row.risk, "level": row.level, "cause": row.cause},
    )
    target = Target(symbol=one.position.instrument.symbol, weight=0.0, reasons=(reason,), urgency=1.0)
    ProtectiveStop.objects.filter(pk=row.pk).update(next_try_at=now + RETRY_AFTER)
    account: Account = one.position.account
    done = execution.execute_targets(ctx=_context(now), account=account, targets=[target], now=now)
    return done.sent


def _context(now: datetime) -> RunContext:
    """No run stands behind a stop: it must work when no worker does."""
    return RunContext(
        run_id=0, epoch=0, workflow_id=0, slug=SLUG, type_key="", params={}, now=now, entries_allowed=False,
        guard=orders.no_guard,
    )  # fmt: skip


def _tell(one: _Held, row: ProtectiveStop, stop: Stop, cause: str, now: datetime) -> None:
    """For positions that are never closed by themselves: say that a level was passed, and when that is over."""
    if bool(cause) == (row.hit_at is not None):
        return
    ProtectiveStop.objects.filter(pk=row.pk).update(hit_at=now if cause else None)
    key = _alert_key(one.position.pk)
    if not cause:
        alerts.resolve_alert(key, now)
        return
    alerts.raise_alert(
        key=key, code="stop-level-passed", severity="warning", subject=one.position.instrument.symbol, now=now,
        params={"entry": f"{stop.entry:.6g}", "level": f"{stop.level:.6g}", "price": f"{one.look.price}"},
    )  # fmt: skip


def _alert_key(position_id: int) -> str:
    return f"stop-level:{position_id}"
