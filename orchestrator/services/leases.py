"""Named roles held by one process at a time.

Each operation is one conditional UPDATE with the database's clock; the count of rows says who won. The epoch grows with
every change of holder, so whatever an old holder still tries can be told from the new one's work.
"""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.db.models import F, Q

from orchestrator.models import Lease
from orchestrator.services import dbtime
from tradingsite.foundation import clock, statements

# An expiry further away than this many terms was written by a clock that has since been set back: it protects nobody.
_PLAUSIBLE_TERMS = 3


def acquire(name: str, holder: str, ttl_s: float) -> int | None:
    """Take the role when it is free, expired or already ours. Returns the epoch, or None while somebody else has it."""
    epoch = _take(name, holder, ttl_s)
    if epoch is None and not Lease.objects.filter(pk=name).exists():
        try:
            with transaction.atomic():
                Lease.objects.create(name=name, holder="", epoch=0, expires_at=clock.db_now())
        except IntegrityError:
            pass  # somebody else made the row: the UPDATE decides
        epoch = _take(name, holder, ttl_s)
    return epoch


def renew(name: str, holder: str, epoch: int, ttl_s: float) -> bool:
    """Keep the role for `ttl_s` more. False: it was lost, stop acting at once.

    Inside a transaction this is also the fence: until commit nobody else can take the role.
    """
    held = {"pk": name, "holder": holder, "epoch": epoch}
    return statements.update(Lease, {"expires_at": dbtime.in_seconds_sql(ttl_s)}, held) == 1


def release(name: str, holder: str, epoch: int) -> bool:
    """Give the role back so that a follower need not wait for the expiry."""
    held = Lease.objects.filter(pk=name, holder=holder, epoch=epoch)
    return held.update(holder="", expires_at=dbtime.now_expression()) == 1


def _take(name: str, holder: str, ttl_s: float) -> int | None:
    free = (
        Q(holder="")
        | Q(holder=holder)
        | Q(expires_at__lte=dbtime.now_expression())
        | Q(expires_at__gt=dbtime.in_seconds(ttl_s * _PLAUSIBLE_TERMS))
    )
    if not Lease.objects.filter(free, pk=name).exists():
        return None  # spares a follower one write per second; the UPDATE below is what decides
    with transaction.atomic():
        taken = Lease.objects.filter(free, pk=name).update(
            holder=holder, epoch=F("epoch") + 1, expires_at=dbtime.in_seconds(ttl_s)
        )
        if taken != 1:
            return None
        # Still our transaction: the row is locked, this is the epoch we just wrote.
        return Lease.objects.values_list("epoch", flat=True).get(pk=name)
