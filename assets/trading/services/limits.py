"""Limits of an account, changed by people: what tightens counts at once, what loosens waits ten minutes and needs the
password again (the caller asks for it). Every change is audited with before and after.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from django.db import transaction
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from assets.markets import hub
from assets.trading.models import Account, LimitChange, ProtectionRelease
from assets.trading.services import live_gate
from tradingsite.foundation import audit
from tradingsite.foundation.audit import Actor
from tradingsite.foundation.errors import Conflict, FieldProblem, Invalid, NotFound
from tradingsite.foundation.money import to_decimal

LOOSENS_AFTER: Final = timedelta(minutes=10)


@dataclass(frozen=True, kw_only=True, slots=True)
class LimitField:
    """One limit. `kind` ratio, count, money, flag or symbols; `zero_is_none`: 0 means no limit, the loosest value."""

    name: str
    kind: str
    label: str | Promise
    help: str | Promise
    minimum: float = 0.0
    maximum: float = 100.0
    zero_is_none: bool = True

    def rank(self, value: Any) -> float:
        """The looser the higher."""
        if self.kind == "flag":
            return float(bool(value))
        if self.kind == "symbols":
            return math.inf if not value else float(len(value))
        number = float(value)
        return math.inf if self.zero_is_none and number == 0.0 else number


FIELDS: Final = (
    LimitField(
        name="max_order_notional", kind="money", maximum=1e12, label=_lazy("Largest order"),
        help=_lazy("In the account's currency; 0 is no limit of its own."),
    ),
    LimitField(
        name="max_position_ratio", kind="ratio", minimum=0.001, zero_is_none=False, label=_lazy("Largest position"),
        help=_lazy("Value of one instrument over equity."),
    ),
    LimitField(
        name="max_leverage", kind="ratio", minimum=0.01, zero_is_none=False, label=_lazy("Total exposure"),
        help=_lazy("Value of all positions of the account over equity."),
    ),
    LimitField(
        name="max_correlated_ratio", kind="ratio", label=_lazy("Positions that move together"),
        help=_lazy("Value of instruments correlated by 0.7 or more over equity; 0 is no limit."),
    ),
    LimitField(
        name="max_daily_loss_ratio", kind="ratio", maximum=1.0, label=_lazy("Loss of a day"),
        help=_lazy("After such a loss since midnight UTC nothing is entered until the next day; 0 is no limit."),
    ),
    LimitField(
        name="max_drawdown_ratio", kind="ratio", maximum=1.0, label=_lazy("Drawdown"),
        help=_lazy("So far below its highest equity the account enters nothing; 0 is no limit."),
    ),
    LimitField(
        name="price_band_ratio", kind="ratio", maximum=1.0, label=_lazy("Price band"),
        help=_lazy("No order is priced so much worse than the newest price; 0 is no limit."),
    ),
    LimitField(
        name="max_orders_per_minute", kind="count", minimum=1, maximum=10_000, zero_is_none=False,
        label=_lazy("Orders a minute"), help=_lazy("More of them halt the account."),
    ),
    LimitField(
        name="max_orders_per_day", kind="count", maximum=1_000_000, label=_lazy("Orders a day"),
        help=_lazy("Since midnight UTC; 0 is no limit."),
    ),
    LimitField(
        name="allows_short", kind="flag", label=_lazy("Short positions"), help=_lazy("Whether they may be opened."),
    ),
    LimitField(
        name="allowed_symbols", kind="symbols", label=_lazy("Allowed instruments"),
        help=_lazy("Symbols with commas between; empty allows every instrument of the asset type."),
    ),
)  # fmt: skip
BY_NAME: Final[Mapping[str, LimitField]] = {field.name: field for field in FIELDS}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one request, by field."""

    applied: tuple[str, ...]
    waiting: tuple[str, ...]
    unchanged: tuple[str, ...]


def loosening(account_id: int, values: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the fields that `values` would loosen. Raises NotFound, Invalid."""
    account = _account(account_id)
    clean = _clean(account, values)
    return tuple(n for n, v in clean.items() if BY_NAME[n].rank(v) > BY_NAME[n].rank(getattr(account, n)))


def change(
    account_id: int,
    values: Mapping[str, Any],
    *,
    actor: Actor,
    now: datetime,
    reason: str = "",
    may_loosen: bool = False,
) -> Outcome:
    """Change limits of an account: tighter at once, looser after LOOSENS_AFTER.

    Without `may_loosen` a looser value is refused with Conflict and nothing is changed. Raises NotFound, Invalid.
    """
    applied, waiting, unchanged = [], [], []
    with transaction.atomic():
        account = Account.objects.select_for_update().filter(pk=account_id).first() or _account(account_id)
        clean = _clean(account, values)
        for name, value in clean.items():
            field, before = BY_NAME[name], getattr(account, name)
            if before == value:
                unchanged.append(name)
                _withdraw(account, name, now)
                continue
            loosens = field.rank(value) > field.rank(before)
            if loosens and not may_loosen:
                raise Conflict(
                    _("%(limit)s can only be loosened by a person who enters the password again.")
                    % {"limit": field.label},
                    code="loosening-needs-password",
                )
            _withdraw(account, name, now)
            row = LimitChange.objects.create(
                account=account, field=name, before=_plain(before), after=_plain(value), loosens=loosens,
                requested_by=actor.name, requested_at=now, reason=reason[:200],
                effective_at=now + LOOSENS_AFTER if loosens else now,
            )  # fmt: skip
            audit.record(
                action="limits.request" if loosens else "limits.change", actor=actor, object_type="account",
                object_id=str(account.pk), before={name: row.before}, after={name: row.after}, reason=reason,
            )  # fmt: skip
            if loosens:
                waiting.append(name)
            else:
                _apply(row, now)
                applied.append(name)
    return Outcome(tuple(applied), tuple(waiting), tuple(unchanged))


def change_by_name(name: str, values: Mapping[str, Any], *, actor: Actor, now: datetime) -> Outcome:
    """`change` for an account by name, tighter only. Raises NotFound, Invalid, Conflict."""
    pk = Account.objects.filter(name=name).values_list("pk", flat=True).first()
    if pk is None:
        raise NotFound(_("There is no account %(id)s.") % {"id": name[:64]})
    return change(pk, values, actor=actor, now=now)


def apply_due(now: datetime) -> int:
    """Put loosened limits in force whose time has come. Returns how many. Idempotent, one query when none is due."""
    due = list(LimitChange.objects.filter(status=LimitChange.Status.WAITING, effective_at__lte=now))
    count = 0
    for row in due:
        with transaction.atomic():
            if _apply(row, now):
                audit.record(
                    action="limits.change", actor=audit.system("limits"), object_type="account",
                    object_id=str(row.account_id), before={row.field: row.before}, after={row.field: row.after},
                    reason=f"requested by {row.requested_by}",
                )  # fmt: skip
                count += 1
    return count


def withdraw(change_id: int, *, actor: Actor, now: datetime) -> None:
    """Take a waiting change back. Raises NotFound, Conflict when it is not waiting any more."""
    row = LimitChange.objects.filter(pk=change_id).first()
    if row is None:
        raise NotFound(f"There is no change {change_id}.")
    with transaction.atomic():
        waiting = LimitChange.objects.filter(pk=change_id, status=LimitChange.Status.WAITING)
        if waiting.update(status=LimitChange.Status.WITHDRAWN, ended_at=now) != 1:
            raise Conflict(_("This change is not waiting any more."))
        audit.record(
            action="limits.withdraw", actor=actor, object_type="account", object_id=str(row.account_id),
            before={row.field: row.after}, after={row.field: row.before},
        )  # fmt: skip


def release(
    account_id: int, kind: str, subject: str, *, actor: Actor, now: datetime, reason: str
) -> ProtectionRelease:
    """Let a protection go: what happened up to now no longer locks. Raises NotFound, Invalid without a reason."""
    if not reason.strip():
        raise Invalid(_("Releasing a protection needs a reason; it goes into the audit log."))
    account = _account(account_id)
    with transaction.atomic():
        row = ProtectionRelease.objects.create(
            account=account,
            kind=kind[:16],
            subject=subject[:32],
            at=now,
            released_by=actor.name,
            reason=reason[:200],
        )
        audit.record(
            action="protection.release", actor=actor, object_type="account", object_id=str(account.pk),
            before={"kind": kind, "subject": subject}, reason=reason,
        )  # fmt: skip
    return row


def _account(account_id: int) -> Account:
    found = Account.objects.filter(pk=account_id).first()
    if found is None:
        raise NotFound(f"There is no account {account_id}.")
    return found


def _withdraw(account: Account, name: str, now: datetime) -> None:
    """A newer wish replaces one that waits."""
    waiting = LimitChange.objects.filter(account=account, field=name, status=LimitChange.Status.WAITING)
    waiting.update(status=LimitChange.Status.WITHDRAWN, ended_at=now)


def _apply(row: LimitChange, now: datetime) -> bool:
    mine = LimitChange.objects.filter(pk=row.pk, status=LimitChange.Status.WAITING)
    if mine.update(status=LimitChange.Status.APPLIED, ended_at=now) != 1:
        return False
    value = to_decimal(row.after) if BY_NAME[row.field].kind == "money" else row.after
    Account.objects.filter(pk=row.account_id).update(**{row.field: value})
    if row.loosens:
        live_gate.revoke(row.account, "limit", actor=audit.system("limits"), now=now)
    return True


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Decimal) else value


def _clean(account: Account, values: Mapping[str, Any]) -> dict[str, Any]:
    clean: dict[str, Any] = {}
    errors: list[FieldProblem] = []
    for name, value in values.items():
        field = BY_NAME.get(name)
        if field is None:
            known = ", ".join(BY_NAME)
            text = _("%(name)s is not a limit; known are: %(known)s.") % {"name": name, "known": known}
            errors.append({"pointer": f"#/{name}", "code": "unknown", "detail": text})
            continue
        try:
            clean[name] = _read(account, field, value)
        except Invalid as error:
            errors.append({"pointer": f"#/{name}", "code": error.code, "detail": error.message})
    if errors:
        raise Invalid(" ".join(error["detail"] for error in errors), errors=errors)
    return clean


def _read(account: Account, field: LimitField, value: Any) -> Any:
    if field.kind == "flag":
        if not isinstance(value, bool):
            raise Invalid(_("%(field)s must be yes or no.") % {"field": field.label}, code="invalid")
        return value
    if field.kind == "symbols":
        return _symbols(account, field, value)
    try:
        number = to_decimal(value)
    except (ValueError, TypeError) as e:
        raise Invalid(_("%(field)s must be a number.") % {"field": field.label}, code="invalid") from e
    if not field.minimum <= number <= field.maximum:
        raise Invalid(
            _("%(field)s must lie between %(low)s and %(high)s, was %(value)s.")
            % {
                "field": field.label,
                "low": f"{field.minimum:g}",
                "high": f"{field.maximum:g}",
                "value": number,
            },
            code="out_of_range",
        )
    if field.kind == "count":
        if number != number.to_integral_value():
            raise Invalid(_("%(field)s must be a whole number.") % {"field": field.label}, code="invalid")
        return int(number)
    return number if field.kind == "money" else float(number)


def _symbols(account: Account, field: LimitField, value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise Invalid(_("%(field)s must be a list of symbols.") % {"field": field.label}, code="invalid")
    known = {row.symbol for row in hub.active_instruments(account.asset_type)}
    unknown = sorted(set(value) - known)
    if unknown:
        raise Invalid(
            _("There is no instrument %(symbols)s.") % {"symbols": ", ".join(unknown)[:80]},
            code="unknown_symbol",
        )
    return sorted(set(value))
