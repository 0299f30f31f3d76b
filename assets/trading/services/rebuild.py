"""Positions from the fills alone, compared with the stored ones. Requests are never looked at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import transaction

from assets.quant.positions import Holding
from assets.trading.models import Account, Fill, Position
from assets.trading.services.fills import after_fill, holding_of
from tradingsite.foundation import audit, clock
from tradingsite.foundation.audit import Actor
from tradingsite.foundation.invariants import one_instant


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """A stored position that does not follow from its fills."""

    account_id: int
    instrument_id: int
    symbol: str
    stored: Holding
    derived: Holding


def derive(account: Account | None = None) -> dict[tuple[int, int], Holding]:
    """Every position by (account id, instrument id), from its fills in the order they were booked."""
    fills = Fill.objects.select_related("instrument").order_by("pk")
    if account is not None:
        fills = fills.filter(account=account)
    found: dict[tuple[int, int], Holding] = {}
    for fill in fills.iterator(chunk_size=2000):
        key = (fill.account_id, fill.instrument_id)
        found[key] = after_fill(
            found.get(key, Holding()), fill, base=fill.instrument.base, quote=fill.instrument.quote
        )
    return found


def compare(account: Account | None = None) -> list[Difference]:
    """All positions that differ from what their fills say; empty is well. One consistent read."""
    with one_instant():
        derived = derive(account)
        positions = Position.objects.select_related("instrument")
        if account is not None:
            positions = positions.filter(account=account)
        stored = {(p.account_id, p.instrument_id): p for p in positions}
    differences = []
    for key in sorted(derived.keys() | stored.keys()):
        position = stored.get(key)
        have = holding_of(position) if position else Holding()
        want = derived.get(key, Holding())
        if have != want:
            symbol = position.instrument.symbol if position else str(key[1])
            differences.append(
                Difference(account_id=key[0], instrument_id=key[1], symbol=symbol, stored=have, derived=want)
            )
    return differences


def repair(*, actor: Actor, now: datetime) -> int:
    """Rewrite differing positions from their fills, audited. Returns how many. Fills and ledger stay as they
    are.
    """
    with transaction.atomic():
        # Bookings wait: they lock the position first.
        list(Position.objects.select_for_update().values_list("pk"))
        differences = compare()
        for item in differences:
            values = {
                "quantity": item.derived.quantity,
                "cost": item.derived.cost,
                "realised": item.derived.realised,
                "fees": item.derived.fees,
                "updated_at": clock.now(),
            }
            Position.objects.update_or_create(
                account_id=item.account_id, instrument_id=item.instrument_id, defaults=values
            )
            audit.record(
                action="position.rebuild", actor=actor, object_type="position", object_id=item.symbol,
                before=_plain(item.stored), after=_plain(item.derived), reason="differs from its fills",
            )  # fmt: skip
    return len(differences)


def _plain(holding: Holding) -> dict[str, str]:
    values: dict[str, Decimal] = {
        "quantity": holding.quantity, "cost": holding.cost, "realised": holding.realised, "fees": holding.fees
    }  # fmt: skip
    return {name: str(value) for name, value in values.items()}
