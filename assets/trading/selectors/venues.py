"""Accounts at venues and what differs there, for pages and API. Never a key: at most what may be shown of one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from assets.trading import agreement
from assets.trading.models import Account, Discrepancy, LiveApproval, VenueKey
from assets.trading.services.venue_accounts import can_adopt
from tradingsite.foundation.api.shapes import OneOf

STATUSES: Final = tuple(Discrepancy.Status.values)
SHOWN: Final = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class VenueAccount:
    """One account at a venue. What was never asked is None; the clock offset is the venue's clock minus ours."""

    id: int
    name: str
    broker: str
    asset_type: str
    currency: str
    mode: Annotated[str, OneOf("paper", "live")]
    state: Annotated[str, OneOf(*Account.State.values)]
    key_hint: Annotated[str, "the last characters of the stored key; empty without one"]
    key_stored_at: datetime | None
    key_stored_by: str
    key_checked_at: datetime | None
    can_read: bool | None
    can_trade: bool | None
    can_withdraw: bool | None
    is_ip_restricted: bool | None
    clock_offset_s: float | None
    reconciled_at: datetime | None
    open_discrepancies: int
    live_until: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class VenueAccounts:
    """All accounts at venues, by name."""

    accounts: list[VenueAccount]


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One difference between our books and a venue's."""

    id: int
    account: str
    kind: Annotated[str, OneOf(*Discrepancy.Kind.values)]
    subject: Annotated[str, "client id, venue id or asset"]
    ours: str
    theirs: str
    status: Annotated[str, OneOf(*STATUSES)]
    first_seen_at: datetime
    last_seen_at: datetime
    resolution: str


@dataclass(frozen=True, kw_only=True, slots=True)
class InboxRow:
    """A difference as the page shows it."""

    item: Difference
    kind_words: str
    status_words: str
    can_adopt: bool
    age: timedelta


def accounts() -> list[VenueAccount]:
    """All of them, by name. Four queries."""
    rows = list(Account.objects.exclude(broker=agreement.PAPER).order_by("name"))
    keys = {row.account_id: row for row in VenueKey.objects.filter(account__in=rows)}
    open_: dict[int, int] = {}
    for pk in Discrepancy.objects.filter(status=Discrepancy.Status.OPEN).values_list("account_id", flat=True):
        open_[pk] = open_.get(pk, 0) + 1
    until = dict(LiveApproval.objects.filter(revoked_at__isnull=True).values_list("account_id", "expires_at"))
    return [_account(row, keys.get(row.pk), open_.get(row.pk, 0), until.get(row.pk)) for row in rows]


def _account(row: Account, key: VenueKey | None, open_: int, until: datetime | None) -> VenueAccount:
    told: dict[str, Any] = key.permissions if key else {}
    return VenueAccount(
        id=row.pk, name=row.name, broker=row.broker, asset_type=row.asset_type, currency=row.currency, mode=row.mode,
        state=row.state, key_hint=key.hint if key else "", key_stored_at=key.created_at if key else None,
        key_stored_by=key.created_by if key else "", key_checked_at=key.checked_at if key else None,
        can_read=told.get("can_read"), can_trade=told.get("can_trade"), can_withdraw=told.get("can_withdraw"),
        is_ip_restricted=told.get("is_ip_restricted"), clock_offset_s=told.get("clock_offset_s"),
        reconciled_at=row.reconciled_at, open_discrepancies=open_, live_until=until,
    )  # fmt: skip


def account(pk: int) -> VenueAccount | None:
    return next((row for row in accounts() if row.id == pk), None)


def discrepancies(account: str = "", status: str = "") -> Any:
    """A QuerySet for the API, filtered."""
    rows = Discrepancy.objects.select_related("account")
    if account:
        rows = rows.filter(account__name=account)
    return rows.filter(status=status) if status else rows


def item(row: Discrepancy) -> Difference:
    return Difference(
        id=row.pk, account=row.account.name, kind=row.kind, subject=row.subject, ours=row.ours, theirs=row.theirs,
        status=row.status, first_seen_at=row.first_seen_at, last_seen_at=row.last_seen_at, resolution=row.resolution,
    )  # fmt: skip


def item_of(pk: int) -> Difference:
    return item(Discrepancy.objects.select_related("account").get(pk=pk))


def inbox(now: datetime) -> list[InboxRow]:
    """What is open or ignored, open ones first, the newest first."""
    rows = Discrepancy.objects.select_related("account").exclude(status=Discrepancy.Status.RESOLVED)
    found = [
        InboxRow(
            item=item(row), kind_words=str(row.get_kind_display()), status_words=str(row.get_status_display()),
            can_adopt=can_adopt(row), age=now - row.first_seen_at,
        )
        for row in rows[:SHOWN]
    ]  # fmt: skip
    return sorted(found, key=lambda row: row.item.status != Discrepancy.Status.OPEN)


def open_count() -> int:
    """One query."""
    return Discrepancy.objects.filter(status=Discrepancy.Status.OPEN).count()
