"""What a person does about a venue: give it a key, and ask what that key may do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from assets.trading import brokers
from assets.trading.brokers import venue_keys
from assets.trading.brokers.base import KeyedBroker
from assets.trading.models import Account, VenueKey
from tradingsite.foundation.audit import Actor
from tradingsite.foundation.errors import Invalid, NotFound, Unavailable


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


def remove_key(name: str, *, actor: Actor, now: datetime) -> None:
    """Forget the key of the account called `name`. Raises NotFound."""
    venue_keys.remove(_account(name), actor=actor, now=now)


def store_checked(name: str, key: str, secret: str, *, actor: Actor, now: datetime) -> KeyReport | None:
    """Keep a key and ask the venue at once; None when the venue gave no answer (it is kept, its rights are unknown).

    A key that can withdraw money is forgotten again. Raises NotFound, and Invalid for such a key and for what is no key.
    """
    store_key(name, key, secret, actor=actor, now=now)
    try:
        report = check_key(name, now)
    except Unavailable:
        return None
    if report.can_withdraw:
        remove_key(name, actor=actor, now=now)
        raise Invalid(
            _(
                "This key may withdraw money (or the venue did not say that it may not). Make one that may only trade."
            ),
            code="key-can-withdraw",
        )
    return report


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
    told: dict[str, Any] = {
        name: getattr(found, name) for name in ("can_read", "can_trade", "can_withdraw", "is_ip_restricted")
    }
    told["clock_offset_s"] = report.clock_offset_s
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
