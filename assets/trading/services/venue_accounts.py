"""Accounts at venues, made by a person: they start closed (reducing) and not switched to real money."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from assets.trading import registry
from assets.trading.agreement import PAPER
from assets.trading.models import Account, Discrepancy, Fill, Journal
from assets.trading.services import accounts
from tradingsite.foundation import audit
from tradingsite.foundation.audit import Actor
from tradingsite.foundation.errors import Conflict, FieldProblem, Invalid, NotFound
from tradingsite.foundation.money import to_decimal

BROKERS: Final = ("binance", "alpaca", "fxcm")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{1,39}")
_CURRENCY = re.compile(r"[A-Z]{3,6}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What the form says. Money in `currency`; ratios are fractions of equity; all three limits must be above 0."""

    name: str
    broker: str
    asset_type: str
    currency: str
    max_order_notional: Decimal
    max_daily_loss_ratio: Decimal
    max_drawdown_ratio: Decimal


def asset_types() -> tuple[str, ...]:
    """Those that have an account specification."""
    return tuple(sorted(spec.asset_type for spec in registry.account_specs()))


def create(wanted: Wanted, *, actor: Actor, now: datetime) -> Account:
    """The account, with the limits of its asset type and the three of the form. Raises Invalid, one problem per field."""
    problems = _problems(wanted)
    if problems:
        raise Invalid(_("Please correct the marked fields."), errors=problems)
    spec = next(spec for spec in registry.account_specs() if spec.asset_type == wanted.asset_type)
    try:
        with transaction.atomic():
            account = Account.objects.create(
                name=wanted.name, asset_type=wanted.asset_type, broker=wanted.broker, currency=wanted.currency,
                mode=Account.Mode.PAPER, state=Account.State.REDUCING, opening_balance=Decimal(0), created_at=now,
                allows_short=spec.allows_short, max_leverage=spec.max_leverage,
                max_position_ratio=spec.max_position_ratio, max_orders_per_minute=spec.max_orders_per_minute,
                max_orders_per_day=spec.max_orders_per_day, max_correlated_ratio=spec.max_correlated_ratio,
                price_band_ratio=spec.price_band_ratio, max_order_notional=wanted.max_order_notional,
                max_daily_loss_ratio=float(wanted.max_daily_loss_ratio),
                max_drawdown_ratio=float(wanted.max_drawdown_ratio),
            )  # fmt: skip
            audit.record(
                action="account.create", actor=actor, object_type="account", object_id=str(account.pk),
                after={
                    "name": account.name, "broker": account.broker, "asset_type": account.asset_type,
                    "currency": account.currency, "state": account.state, "mode": account.mode,
                },
            )  # fmt: skip
    except IntegrityError as e:
        text = _("There is an account with this name already.")
        raise Invalid(text, errors=[{"pointer": "#/name", "code": "taken", "detail": text}]) from e
    return account


def _problems(wanted: Wanted) -> list[FieldProblem]:
    choice = _("Please choose one of the values offered.")
    found = [
        ("name", _NAME.fullmatch(wanted.name), _("2 to 40 small letters, digits and hyphens.")),
        ("broker", wanted.broker in BROKERS, choice),
        ("asset_type", wanted.asset_type in asset_types(), choice),
        (
            "currency",
            _CURRENCY.fullmatch(wanted.currency),
            _("Three to six capital letters, e.g. USD or USDT."),
        ),
        ("max_order_notional", 0 < wanted.max_order_notional <= 10**9, _("An amount above 0.")),
        ("max_daily_loss_ratio", 0 < wanted.max_daily_loss_ratio <= 1, _("A fraction above 0, at most 1.")),
        ("max_drawdown_ratio", 0 < wanted.max_drawdown_ratio <= 1, _("A fraction above 0, at most 1.")),
    ]
    return [{"pointer": f"#/{name}", "code": "invalid", "detail": text} for name, ok, text in found if not ok]


def stored(pk: int) -> Account:
    """The account at a venue with this id. Raises NotFound."""
    found = Account.objects.exclude(broker=PAPER).filter(pk=pk).first()
    if found is None:
        raise NotFound(_("There is no account %(id)s at a venue.") % {"id": pk})
    return found


def can_adopt(row: Discrepancy) -> bool:
    """Only the money an account begins with: before anything was posted or traded here, the venue's word is ours."""
    account = row.account
    return (
        row.kind == Discrepancy.Kind.BALANCE
        and row.status == Discrepancy.Status.OPEN
        and row.subject == account.currency
        and not account.opening_balance
        and not Journal.objects.filter(account=account).exists()
        and not Fill.objects.filter(account=account).exists()
    )


def adopt(pk: int, *, actor: Actor, now: datetime) -> Account:
    """Take the venue's balance over as what the account began with. Raises NotFound, Conflict when that cannot be."""
    row = Discrepancy.objects.select_related("account").filter(pk=pk).first()
    if row is None:
        raise NotFound(_("There is no difference %(id)s.") % {"id": pk})
    with transaction.atomic():
        account = Account.objects.select_for_update().get(pk=row.account_id)
        amount = to_decimal(row.theirs)
        if not can_adopt(row) or amount <= 0:
            raise Conflict(
                _("Only the balance an account begins with can be taken over."), code="not-adoptable"
            )
        resolved = Discrepancy.objects.filter(pk=pk, status=Discrepancy.Status.OPEN, theirs=row.theirs)
        if not resolved.update(status=Discrepancy.Status.RESOLVED, resolved_at=now, resolution="adopted"):
            raise Conflict(_("It has changed meanwhile; look again."), code="changed")
        Account.objects.filter(pk=account.pk).update(opening_balance=amount)
        account.opening_balance = amount
        accounts.open_with(account, amount, now)
        audit.record(
            action="discrepancy.adopt", actor=actor, object_type="discrepancy", object_id=str(pk),
            before={"ours": row.ours, "theirs": row.theirs}, after={"opening_balance": amount},
        )  # fmt: skip
    return account
