"""Entries are taken back: after a stop, and when an account or a workflow was halted.

All of them are marked first, then the venues are asked, each on threads of its own: one that is silent delays no other,
and nothing that is marked is forgotten, because recovery asks again for what stays pending.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from django.db import DatabaseError, InterfaceError, connection
from django.db.models import Q, QuerySet

from assets.trading.agreement import PAPER
from assets.trading.models import Account, Order
from assets.trading.services import orders
from orchestrator.models import Workflow
from orchestrator.services import control
from tradingsite.foundation import audit, clock
from tradingsite.foundation.audit import Actor
from tradingsite.foundation.errors import Conflict

logger = logging.getLogger(__name__)

WAIT_S: Final = 1.0
"""So long the caller waits for answers; who is slower answers later."""

_LINES_PER_ACCOUNT: Final = 4


def cancel_entries(
    *, actor: Actor, now: datetime, reason: str = "", account_id: int | None = None, wait_s: float = WAIT_S
) -> int:
    """Cancel every own order that could still open risk. Returns how many were asked for."""
    rows = _entries() if account_id is None else _entries().filter(account_id=account_id)
    return _cancel_all([(rows, reason)], actor=actor, wait_s=wait_s)


def keep_the_stop(now: datetime, *, paper: bool | None = None, wait_s: float = WAIT_S) -> int:
    """After a stop, or the halt of an account or workflow, what still rests must not open risk; exits stay.

    Returns how many cancels were asked for. It looks at how things stand, not at what changed: call it every second,
    from as many processes as there are. `paper`: only what rests at the paper venue, which no call waits for, or only the
    rest. Raises Unavailable when the switch cannot be read.
    """
    rows = _entries()
    if paper is not None:
        rows = rows.filter(Q(account__broker=PAPER) if paper else ~Q(account__broker=PAPER))
    if not control.current().orders_allowed:
        return _cancel_all([(rows, "stopped")], actor=audit.system("kill switch"), wait_s=wait_s)
    halted = Workflow.objects.filter(status__in=(Workflow.Status.HALTED, Workflow.Status.ARCHIVED))
    found = [
        (rows.filter(account__state=Account.State.HALTED), "account halted"),
        (rows.filter(intent__workflow_slug__in=halted.values("slug")), "workflow halted"),
    ]
    return _cancel_all(found, actor=audit.system("halt"), wait_s=wait_s)


def _entries() -> QuerySet[Order]:
    return Order.objects.filter(status__in=("new", "accepted", "partially_filled"), intent__reduces=False)


def _cancel_all(found: Iterable[tuple[QuerySet[Order], str]], *, actor: Actor, wait_s: float) -> int:
    count, failure = 0, None
    pending: list[Order] = []
    for rows, reason in found:
        for pk in list(rows.values_list("pk", flat=True)):
            try:
                order = orders.request_cancel(pk, actor=actor, reason=reason)
            except Conflict:
                # It ended or moved meanwhile.
                continue
            except (DatabaseError, InterfaceError):
                raise
            except Exception as e:  # noqa: BLE001 - one order nobody can mark must not shield the others; raised below
                failure = failure or e
                continue
            count += 1
            if order.status == Order.Status.CANCEL_PENDING:
                pending.append(order)
    failure = _ask(pending, wait_s) or failure
    if failure is not None:
        raise failure
    return count


def _ask(pending: list[Order], wait_s: float) -> Exception | None:
    """Ask for all of them: venues on threads, paper here. Returns what went wrong first with a paper order."""
    failure: Exception | None = None
    lines = _lines([order for order in pending if order.account.broker != PAPER])
    for line in lines:
        line.start()
    for order in pending:
        if order.account.broker != PAPER:
            continue
        try:
            orders.finish_cancel(order)
        except (DatabaseError, InterfaceError):
            raise
        except Exception as e:  # noqa: BLE001 - it must not shield the others; the caller raises it
            failure = failure or e
    until = clock.monotonic() + wait_s
    for line in lines:
        line.join(max(0.0, until - clock.monotonic()))
    return failure


def _lines(pending: list[Order]) -> list[threading.Thread]:
    by_account: dict[int, list[Order]] = {}
    for order in pending:
        by_account.setdefault(order.account_id, []).append(order)
    return [
        threading.Thread(target=_ask_venue, args=(batch[n::_LINES_PER_ACCOUNT],), name=f"cancel-{pk}-{n}", daemon=True)
        for pk, batch in by_account.items()
        for n in range(min(_LINES_PER_ACCOUNT, len(batch)))
    ]  # fmt: skip


def _ask_venue(batch: list[Order]) -> None:
    try:
        for order in batch:
            try:
                orders.finish_cancel(order)
            except Exception:  # nobody waits for it any more; the order stays pending and recovery asks again
                logger.exception("asking for the cancel of %s failed", order.client_id)
    finally:
        connection.close()
