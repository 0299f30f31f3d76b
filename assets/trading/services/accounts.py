"""Accounts: the paper ones the asset types ask for, with their opening journals."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from django.db import transaction

from assets.trading import registry
from assets.trading.models import Account, Journal
from assets.trading.services import ledger, live_gate
from tradingsite.foundation import audit, transitions
from tradingsite.foundation.audit import Actor
from tradingsite.foundation.errors import ConcurrentChange, Invalid, NotFound

STATES = transitions.Machine(
    "account",
    {
        ("active", "reduce_only"): "reducing",
        ("active", "halt"): "halted",
        ("reducing", "halt"): "halted",
        ("reducing", "activate"): "active",
        ("halted", "activate"): "active",
        ("halted", "reduce_only"): "reducing",
    },
)


def ensure_paper_accounts(now: datetime, *, is_demo: bool) -> list[Account]:
    """One paper account per registered spec, opened with its balance. Idempotent, also when two processes
    start at once.
    """
    return [_ensure(spec, is_demo, now) for spec in registry.account_specs()]


def _ensure(spec: registry.AccountSpec, is_demo: bool, now: datetime) -> Account:
    with transaction.atomic():
        account, _created = Account.objects.get_or_create(
            asset_type=spec.asset_type,
            is_demo=is_demo,
            mode=Account.Mode.PAPER,
            broker="paper",
            defaults={
                "name": f"{spec.asset_type}-{'demo' if is_demo else 'paper'}",
                "currency": spec.currency,
                "opening_balance": spec.opening_balance,
                "allows_short": spec.allows_short,
                "max_leverage": spec.max_leverage,
                "max_order_notional": spec.max_order_notional,
                "max_position_ratio": spec.max_position_ratio,
                "max_orders_per_minute": spec.max_orders_per_minute,
                "max_orders_per_day": spec.max_orders_per_day,
                "max_correlated_ratio": spec.max_correlated_ratio,
                "max_daily_loss_ratio": spec.max_daily_loss_ratio,
                "max_drawdown_ratio": spec.max_drawdown_ratio,
                "price_band_ratio": spec.price_band_ratio,
                "created_at": now,
            },
        )
        open_with(account, account.opening_balance, now)
    return account


def count() -> int:
    """How many accounts exist."""
    return Account.objects.count()


def open_with(account: Account, amount: Decimal, now: datetime) -> None:
    """Post the opening journal of an account unless it is there."""
    key = f"opening:{account.pk}"
    if not Journal.objects.filter(key=key).exists():
        lines = ledger.opening_lines(account.currency, amount)
        ledger.post(account=account, kind="opening", key=key, at=now, lines=lines)


def set_state(pk: int, event: str, *, actor: Actor, now: datetime, reason: str = "") -> Account:
    """Move an account by `event` (halt, reduce_only, activate), audited. Raises IllegalTransition or
    NotFound.
    """
    if event not in STATES.events:
        raise Invalid(f"An account can {', '.join(sorted(STATES.events))}, not {event}.")
    with transaction.atomic():
        account = Account.objects.filter(pk=pk).first()
        if account is None:
            raise NotFound(f"There is no account {pk}.")
        before = account.state
        after = STATES.next(before, event)
        if Account.objects.filter(pk=pk, state=before).update(state=after) != 1:
            raise ConcurrentChange("This account was changed by somebody else first.", pk=str(pk))
        account.refresh_from_db()
        if event == "halt" and live_gate.revoke(account, "halted", actor=actor, now=now):
            account.refresh_from_db()
        audit.record(
            action=f"account.{event}", actor=actor, object_type="account", object_id=str(pk),
            before={"state": before}, after={"state": after}, reason=reason,
        )  # fmt: skip
    return account
