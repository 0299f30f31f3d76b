"""Out of everything: a wish that is kept until no position is left, whatever breaks on the way.

`begin` notes the wish, `work` (called every second by the keeper of the stops) takes entries back, sends exits for what can
be traded now, waits for markets that are closed, and turns the switch to stopped when all is done.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from assets.trading.market import look_at
from assets.trading.models import Account, Flattening, Position
from assets.trading.services import execution, orders, stopping
from assets.trading.targets import Reason, Target
from orchestrator.plugins import RunContext
from orchestrator.services import control, exits
from tradingsite.foundation import audit, statements
from tradingsite.foundation.audit import Actor

SLUG: Final = "flatten"
RETRY_AFTER: Final = timedelta(seconds=30)
_WORKING: Final = Flattening.Status.WORKING


def begin(asset_type: str, actor: Actor, now: datetime, reason: str) -> int:
    """Note the wish; a second one while it works changes nothing. Returns how many positions are open."""
    with transaction.atomic():
        try:
            with transaction.atomic():
                row = Flattening.objects.create(
                    asset_type=asset_type, requested_by=actor.name, reason=reason[:200], requested_at=now
                )
        except IntegrityError:
            return _open(asset_type).count()
        count: int = _open(asset_type).count()
        audit.record(
            action="trading.flatten", actor=actor, object_type="flattening", object_id=str(row.pk), reason=reason,
            after={"asset_type": asset_type or "all", "positions": count},
        )  # fmt: skip
    return count


def give_up(actor: Actor, now: datetime) -> int:
    """Keep what is left after all. Returns how many wishes were ended."""
    with transaction.atomic():
        ended: int = Flattening.objects.filter(status=_WORKING).update(
            status=Flattening.Status.GIVEN_UP, ended_at=now
        )
        if ended:
            audit.record(
                action="trading.flatten_given_up",
                actor=actor,
                object_type="flattening",
                after={"wishes": ended},
            )
    return ended


def work(now: datetime) -> int:
    """Go on with every wish; returns how many exits were sent. One statement when there is none."""
    if not statements.rows("SELECT 1 FROM trading_flattening WHERE status = %s LIMIT 1", (_WORKING,)):
        return 0
    sent = 0
    for row in Flattening.objects.filter(status=_WORKING).order_by("pk"):
        if not _open(row.asset_type).exists():
            _finish(row, now)
        elif row.tried_at is None or now - row.tried_at >= RETRY_AFTER:
            Flattening.objects.filter(pk=row.pk).update(tried_at=now)
            sent += _exits(row, now)
    return sent


def _open(asset_type: str) -> QuerySet[Position]:
    rows = Position.objects.filter(opened_at__isnull=False)
    return rows.filter(account__asset_type=asset_type) if asset_type else rows


def _exits(row: Flattening, now: datetime) -> int:
    if not control.current().orders_allowed:
        return 0  # a stop came in between: the wish waits
    sent = 0
    held: dict[int, list[Position]] = {}
    for position in _open(row.asset_type).select_related("account", "instrument").order_by("pk"):
        held.setdefault(position.account_id, []).append(position)
    for positions in held.values():
        account: Account = positions[0].account
        stopping.cancel_entries(actor=audit.system(SLUG), now=now, reason="flatten", account_id=account.pk)
        looks = look_at([p.instrument for p in positions], now)
        targets = [
            Target(symbol=p.instrument.symbol, weight=0.0, reasons=(Reason(code="flatten"),), urgency=1.0)
            for p in positions
            if looks[p.instrument_id].is_open and looks[p.instrument_id].usable
        ]
        if targets:
            done = execution.execute_targets(ctx=_context(now), account=account, targets=targets, now=now)
            sent += done.sent
    return sent


def _context(now: datetime) -> RunContext:
    """No run stands behind it: it must work when no worker does."""
    return RunContext(
        run_id=0, epoch=0, workflow_id=0, slug=SLUG, type_key="", params={}, now=now, entries_allowed=False,
        guard=orders.no_guard,
    )  # fmt: skip


def _finish(row: Flattening, now: datetime) -> None:
    with transaction.atomic():
        mine = Flattening.objects.filter(pk=row.pk, status=_WORKING)
        if mine.update(status=Flattening.Status.DONE, ended_at=now) != 1:
            return
        audit.record(
            action="trading.flat", actor=audit.system(SLUG), object_type="flattening", object_id=str(row.pk),
            reason=row.reason,
        )  # fmt: skip
    if not row.asset_type:
        control.stop(audit.system(SLUG), now, f"flat, as {row.requested_by} wished")


def register() -> None:
    """Called once while apps load."""
    exits.register_flatten(begin)
