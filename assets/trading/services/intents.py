"""Intents and their orders, committed together before any venue hears of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import IntegrityError, connection, transaction

from assets.markets.models import Instrument
from assets.quant.fills import limit_on_grid
from assets.trading.models import Account, Intent, Order, OrderEvent
from assets.trading.services.gate import Denial
from assets.trading.services.sizing import Leg
from assets.trading.targets import Target
from orchestrator.models import Run
from orchestrator.plugins import RunContext
from tradingsite.foundation import clock, statements
from tradingsite.foundation.ids import client_order_id

ZERO = Decimal(0)
_TRIES = 3


@dataclass(kw_only=True, slots=True)
class Draft:
    """An order to be. `denial` is set by the gate."""

    target: Target
    instrument: Instrument
    side: str
    quantity: Decimal
    reduces: bool
    seq: int
    reference_price: Decimal
    limit_price: Decimal | None
    valid_until: datetime | None
    formula: dict[str, Any]
    denial: Denial | None = None

    @property
    def priced(self) -> bool:
        return self.reference_price > 0

    @classmethod
    def of(
        cls, target: Target, instrument: Instrument, leg: Leg, seq: int, price: Decimal, valid_until: datetime
    ) -> Draft:
        limit = target.limit_price
        return cls(
            target=target, instrument=instrument, side=leg.side, quantity=leg.quantity, reduces=leg.reduces,
            seq=seq, reference_price=price, valid_until=valid_until, formula=leg.formula,
            limit_price=None if limit is None else limit_on_grid(leg.side, limit, instrument.tick_size),
        )  # fmt: skip

    @classmethod
    def unpriced(cls, target: Target, instrument: Instrument) -> Draft:
        """Kept as a denied order: without a price there is no quantity, and the refusal must still be seen."""
        sells = target.closes or (target.weight or target.quantity or 0) < 0
        return cls(
            target=target, instrument=instrument, side="sell" if sells else "buy", quantity=ZERO, reduces=False,
            seq=0, reference_price=ZERO, limit_price=None, valid_until=None, formula={},
            denial=Denial(code="price_unknown"),
        )  # fmt: skip


def intent_key(slug: str, slot_at: datetime, draft: Draft) -> str:
    """Workflow, slot, instrument, side, sequence: the same for every execution of the same run."""
    return f"{slug}:{slot_at.isoformat()}:{draft.instrument.symbol}:{draft.side}:{draft.seq}"


@dataclass(frozen=True, slots=True)
class Sight:
    """What a decision saw of its account: while this is the same, nobody has taken room under its limits."""

    state: str
    newest_order: int  # 0: none yet


def sight(account_id: int, *, lock: bool = False) -> Sight:
    """The account as it is now. `lock`: others that commit intents wait until the caller's transaction ends."""
    if lock and connection.vendor == "postgresql":
        # Bookings of fills, which only refer to the account, pass this lock. What follows is a statement of its own:
        # after waiting it sees what the one before us committed. (SQLite: the transaction is IMMEDIATE and alone.)
        statements.rows("SELECT 1 FROM trading_account WHERE id = %s FOR NO KEY UPDATE", (account_id,))
    ((state, newest),) = statements.rows(_SIGHT, (account_id,))
    return Sight(state, newest or 0)


_SIGHT = (
    "SELECT state, (SELECT id FROM trading_order WHERE account_id = a.id ORDER BY id DESC LIMIT 1) "
    "FROM trading_account a WHERE id = %s"
)


def commit(
    *,
    ctx: RunContext,
    account: Account,
    now: datetime,
    drafts: list[Draft],
    seen: Sight,
    again: Callable[[], list[Draft]],
    key_of: Callable[[Draft], str] | None = None,
) -> list[tuple[Draft, Order]]:
    """Write intents and orders in one transaction; those whose key exists are left out (somebody else's or an
    earlier try).

    The account is locked. When it is not any more as `seen` by whoever made the drafts, `again` makes them anew
    inside the transaction: of two workflows that passed the gate at once the second is judged after the first.
    `key_of` names the intents of a person; those of a run are named after it.
    """
    # A run decides for an instant and acts a little later: the order's age counts from its commit.
    now = max(now, clock.now())
    slot_at = Run.objects.filter(pk=ctx.run_id).values_list("slot_at", flat=True).first()
    run_id = None if slot_at is None else ctx.run_id
    for _try in range(_TRIES):
        try:
            with transaction.atomic():
                valid = drafts if sight(account.pk, lock=True) == seen else again()
                # Without a run row (a command acts by hand) the instant of the decision is the slot.
                name = key_of or (lambda draft: intent_key(ctx.slug, slot_at or ctx.now, draft))
                keyed = {name(draft): draft for draft in valid}
                return _write(ctx, run_id, account, now, keyed)
        except IntegrityError:
            # Another process wrote the same keys at this instant; look again and keep only what is new.
            continue
    return []


def _write(
    ctx: RunContext, run_id: int | None, account: Account, now: datetime, keyed: dict[str, Draft]
) -> list[tuple[Draft, Order]]:
    known = set(Intent.objects.filter(key__in=keyed).values_list("key", flat=True)) if keyed else set()
    fresh = {key: draft for key, draft in keyed.items() if key not in known}
    if not fresh:
        return []
    intents = Intent.objects.bulk_create(
        _intent(ctx, run_id, account, now, key, draft) for key, draft in fresh.items()
    )
    pairs = list(zip(intents, fresh.values(), strict=True))
    orders = Order.objects.bulk_create(_order(intent, draft, now) for intent, draft in pairs)
    # A denied order starts denied; its event row says so like any transition.
    OrderEvent.objects.bulk_create(
        OrderEvent(
            row=order,
            event="deny",
            from_status="new",
            to_status="denied",
            at=now,
            detail={"code": draft.denial.code, **draft.denial.as_json()},
        )  # fmt: skip
        for order, draft in zip(orders, fresh.values(), strict=True)
        if draft.denial is not None
    )
    return list(zip(fresh.values(), orders, strict=True))


def _intent(
    ctx: RunContext, run_id: int | None, account: Account, now: datetime, key: str, draft: Draft
) -> Intent:
    return Intent(
        account=account, instrument=draft.instrument, run_id=run_id, run_epoch=ctx.epoch, workflow_slug=ctx.slug,
        key=key, side=draft.side, quantity=draft.quantity, limit_price=draft.limit_price,
        order_type="market" if draft.limit_price is None else "limit", reference_price=draft.reference_price,
        reduces=draft.reduces, reasons=[reason.as_json() for reason in draft.target.reasons],
        sizing=draft.formula, created_at=now, valid_until=draft.valid_until or now,
    )  # fmt: skip


def _order(intent: Intent, draft: Draft, now: datetime) -> Order:
    denial = draft.denial
    return Order(
        intent=intent, account=intent.account, instrument=intent.instrument, side=intent.side,
        client_id=client_order_id(intent.key), quantity=intent.quantity, filled_quantity=ZERO,
        status=Order.Status.DENIED if denial else Order.Status.NEW, created_at=now,
        status_code=denial.code if denial else "", status_detail=denial.as_json() if denial else {},
        finished_at=now if denial else None,
    )  # fmt: skip
