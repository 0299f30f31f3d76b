"""What a person does about a venue: give it a key, and ask what that key may do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from assets.trading import brokers
from assets.trading.brokers import venue_keys
from assets.trading.brokers.base import KeyedBroker
from assets.trading.models import Account, VenueKey
from tradingsite.foundation.audit import Actor
from tradingsite.foundation.errors import Invalid, NotFound


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyReport:
    """What the venue says of the key of an account. `clock_offset_s`: the venue's clock minus ours."""

    account: str
    can_read: bool
    can_trade: bool
    can_withdraw: bool
    is_ip_restricted: bool
    clock_offset_s: float


def store_key(name: str, key: str, secret: str, *, actor: Actor, now: datetime) -> str:
    """Keep a key for the account called `name`; returns what may be shown of it. Raises NotFound, Invalid."""
    return venue_keys.store(_account(name), key, secret, actor=actor, now=now).hint


def check_key(name: str, now: datetime) -> KeyReport:
    """Ask the venue and remember the answer. Raises NotFound, Invalid for an account without keys, Unavailable."""
    account = _account(name)
    broker = brokers.get(account)
    if not isinstance(broker, KeyedBroker):
        raise Invalid(
            f"The account {account.name} is at {account.broker}, which has no keys.", code="no-keys"
        )
    found, offset = broker.permissions(), broker.clock_offset()
    report = KeyReport(
        account=account.name, can_read=found.can_read, can_trade=found.can_trade, can_withdraw=found.can_withdraw,
        is_ip_restricted=found.is_ip_restricted, clock_offset_s=round(offset.total_seconds(), 3),
    )  # fmt: skip
    told = {
        name: getattr(found, name) for name in ("can_read", "can_trade", "can_withdraw", "is_ip_restricted")
    }
    VenueKey.objects.filter(account=account).update(permissions=told, checked_at=now)
    return report


def rotate_keys() -> int:
    """Seal all keys anew with the newest encryption key. Returns how many there are."""
    return venue_keys.rotate()


def _account(name: str) -> Account:
    found = Account.objects.filter(name=name).first()
    if found is None:
        raise NotFound(f"There is no account {name!r}.")
    return found
