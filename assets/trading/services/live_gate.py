"""Switching an account to real money, and back.

Every condition is checked when a person approves, and again whenever an order leaves: the server's flag, the account's
switch, an approval that is neither revoked nor expired, and workflows that are as a person approved them. What puts the
approval in doubt (another key, a looser limit, books that differ, a halt, a drawdown) revokes it at once: the account is
back in paper mode, sends nothing more, and somebody is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from assets.trading.agreement import PAPER
from assets.trading.models import Account, Discrepancy, EquityPoint, LiveApproval, VenueKey, WorkflowApproval
from assets.trading.selectors import live
from orchestrator.models import Workflow
from tradingsite.foundation import alerts, audit
from tradingsite.foundation.audit import Actor
from tradingsite.foundation.errors import NotFound, RiskRefused

PAPER_TRADES: Final = 20
PAPER_DAYS: Final = 7.0
RECONCILED_WITHIN: Final = timedelta(minutes=5)
CHECKED_WITHIN: Final = timedelta(hours=24)


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One condition: whether it holds, and what was found."""

    code: str
    label: str
    ok: bool
    detail: str


def phrase(account: Account) -> str:
    """What has to be typed. Not translated: it is compared."""
    return f"trade real money with {account.name}"


def account_of(pk: int) -> Account:
    """An account at a venue. Raises NotFound, for paper accounts too: they have no live mode."""
    found = Account.objects.exclude(broker=PAPER).filter(pk=pk).first()
    if found is None:
        raise NotFound(_("There is no account %(id)s at a venue.") % {"id": pk})
    return found


def checks(account: Account, now: datetime) -> tuple[Check, ...]:
    """All of them, in the order the page shows them."""
    return (
        _flag(),
        _limits(account),
        _workflows(account),
        _paper(account),
        _books(account, now),
        _key(account, now),
        _standing(account),
    )


def _flag() -> Check:
    on = settings.LIVE_TRADING_ENABLED is True
    detail = (
        _("TRADING_LIVE_ENABLED is on.") if on else _("Set TRADING_LIVE_ENABLED=True and restart the server.")
    )
    return Check(code="flag", label=_("The server allows real money"), ok=on, detail=detail)


def _limits(account: Account) -> Check:
    needed = {
        _("loss of a day"): account.max_daily_loss_ratio, _("drawdown"): account.max_drawdown_ratio,
        _("largest order"): account.max_order_notional,
    }  # fmt: skip
    missing = [name for name, value in needed.items() if not value > 0]
    detail = _("Missing: %(names)s.") % {"names": ", ".join(missing)} if missing else _("All three are set.")
    return Check(code="limits", label=_("Limits are set"), ok=not missing, detail=detail)


def _workflows(account: Account) -> Check:
    rows = live.workflows(account.asset_type)
    open_ = [row.name for row in rows if not row.is_approved]
    if not rows:
        detail = _("No workflow trades this kind of asset.")
    elif open_:
        detail = _("Not approved as it is now: %(names)s.") % {"names": ", ".join(open_)}
    else:
        detail = _("Approved as they are now: %(names)s.") % {"names": ", ".join(row.name for row in rows)}
    return Check(
        code="workflow", label=_("A person approved the workflow"), ok=bool(rows) and not open_, detail=detail
    )


def _paper(account: Account) -> Check:
    count, days = live.paper_record(account.asset_type)
    detail = _("%(count)s of %(needed)s paper trades over %(days)s of %(least)s days.") % {
        "count": count, "needed": PAPER_TRADES, "days": f"{days:.1f}", "least": f"{PAPER_DAYS:g}",
    }  # fmt: skip
    ok = count >= PAPER_TRADES and days >= PAPER_DAYS
    return Check(code="paper", label=_("It was tried with simulated money"), ok=ok, detail=detail)


def _books(account: Account, now: datetime) -> Check:
    open_ = Discrepancy.objects.filter(account=account, status=Discrepancy.Status.OPEN).count()
    at = account.reconciled_at
    fresh = at is not None and timedelta(0) <= now - at <= RECONCILED_WITHIN
    if open_:
        detail = _("Differences nobody has explained: %(count)s.") % {"count": open_}
    elif not fresh:
        detail = _("Not compared with the venue within five minutes.")
    else:
        detail = _("Compared within five minutes, no difference.")
    return Check(code="books", label=_("Its books equal the venue's"), ok=fresh and not open_, detail=detail)


def _key(account: Account, now: datetime) -> Check:
    row = VenueKey.objects.filter(account=account).first()
    told: dict[str, Any] = row.permissions if row else {}
    fresh = bool(row and row.checked_at and timedelta(0) <= now - row.checked_at <= CHECKED_WITHIN)
    if row is None:
        detail = _("No key is stored.")
    elif not fresh:
        detail = _("Not checked within a day.")
    elif told.get("can_withdraw") is not False:
        detail = _("It may withdraw money, or the venue did not say that it may not.")
    elif told.get("can_trade") is not True:
        detail = _("It may not trade.")
    else:
        detail = _("Checked within a day: it may trade and not withdraw.")
    ok = fresh and told.get("can_withdraw") is False and told.get("can_trade") is True
    return Check(code="key", label=_("The API key was checked"), ok=ok, detail=detail)


def _standing(account: Account) -> Check:
    if account.state == Account.State.HALTED:
        detail, ok = _("The account is halted."), False
    elif _is_drawn_down(account):
        detail, ok = _("It is below its drawdown limit."), False
    else:
        detail, ok = _("Not halted, above its drawdown limit."), True
    return Check(code="standing", label=_("Nothing stands against it"), ok=ok, detail=detail)


def _is_drawn_down(account: Account) -> bool:
    point = EquityPoint.objects.filter(account=account).order_by("-at").first()
    if point is None or not account.max_drawdown_ratio or point.peak <= 0:
        return False
    return bool(1 - point.equity / point.peak >= Decimal(repr(account.max_drawdown_ratio)))


# --- On and off ---------------------------------------------------------------------------------------------------


def approve(pk: int, *, typed: str, actor: Actor, now: datetime) -> LiveApproval:
    """Switch an account to real money until `settings.LIVE_FOR` is over; whoever calls has asked for password and code.

    Raises NotFound, and RiskRefused with what is missing while any check is red or the phrase is another one.
    """
    with transaction.atomic():
        account = Account.objects.select_for_update().exclude(broker=PAPER).filter(
            pk=pk
        ).first() or account_of(pk)
        found = checks(account, now)
        red = [check for check in found if not check.ok]
        if red:
            raise RiskRefused(
                _("Not switched to real money: %(reasons)s")
                % {"reasons": " ".join(f"{check.label}: {check.detail}" for check in red)},
                code="live-gate", red=[check.code for check in red],
            )  # fmt: skip
        if " ".join(typed.split()) != phrase(account):
            raise RiskRefused(
                _("Please type exactly: %(phrase)s") % {"phrase": phrase(account)}, code="live-phrase"
            )
        LiveApproval.objects.filter(account=account, revoked_at__isnull=True).update(
            revoked_at=now, revoked_by=actor.name, reason="renewed"
        )
        row = LiveApproval.objects.create(
            account=account, approved_by=actor.name, approved_at=now, expires_at=now + settings.LIVE_FOR,
            evidence={check.code: check.detail for check in found},
        )  # fmt: skip
        before = {"mode": account.mode, "state": account.state}
        after = {"mode": Account.Mode.LIVE, "state": Account.State.ACTIVE}
        Account.objects.filter(pk=account.pk).update(**after)
        audit.record(
            action="live.approve", actor=actor, object_type="account", object_id=str(account.pk), before=before,
            after={**after, "expires_at": row.expires_at},
        )  # fmt: skip
        alerts.resolve_alert(f"live-revoked:{account.pk}", now)
    return row


def revoke(account: Account, reason: str, *, actor: Actor, now: datetime) -> bool:
    """Back to paper, entries closed. Costs nothing for a paper account. True when it was switched back.

    What counts is the row in the database: the caller may have read the account before it was switched.
    """
    if account.broker == PAPER:
        return False
    with transaction.atomic():
        if not Account.objects.filter(pk=account.pk, mode=Account.Mode.LIVE).update(mode=Account.Mode.PAPER):
            return False
        LiveApproval.objects.filter(account_id=account.pk, revoked_at__isnull=True).update(
            revoked_at=now, revoked_by=actor.name[:150], reason=reason[:200]
        )
        Account.objects.filter(pk=account.pk, state=Account.State.ACTIVE).update(state=Account.State.REDUCING)
        audit.record(
            action="live.revoke", actor=actor, object_type="account", object_id=str(account.pk),
            before={"mode": Account.Mode.LIVE}, after={"mode": Account.Mode.PAPER}, reason=reason,
        )  # fmt: skip
        alerts.raise_alert(
            key=f"live-revoked:{account.pk}", code="live-revoked", severity="critical", subject=account.name,
            params={"why": reason}, now=now,
        )  # fmt: skip
    return True


def review(now: datetime) -> int:
    """Revoke what must not go on: flag removed, expired, drawn down, halted, workflow changed. How many were revoked."""
    count = 0
    for account in Account.objects.exclude(broker=PAPER).filter(mode=Account.Mode.LIVE):
        reason = _why_not(account, now)
        if reason and revoke(account, reason, actor=audit.system("live-gate"), now=now):
            count += 1
    return count


def _why_not(account: Account, now: datetime) -> str:
    if settings.LIVE_TRADING_ENABLED is not True:
        return "flag"
    row = live.approval(account.pk)
    if row is None or not row.approved_at <= now < row.expires_at:
        return "expired" if row else "not-approved"
    if account.state == Account.State.HALTED:
        return "halted"
    if _is_drawn_down(account):
        return "drawdown"
    return "" if live.is_approved(account.pk, account.asset_type, now) else "workflow"


# --- Workflows ----------------------------------------------------------------------------------------------------


def approve_workflow(slug: str, *, actor: Actor, now: datetime) -> None:
    """A person lets this workflow, as it is now, trade real money. Again is harmless. Raises NotFound."""
    with transaction.atomic():
        version = Workflow.objects.filter(slug=slug).values_list("version", flat=True).first()
        if version is None:
            raise NotFound(_("There is no workflow %(id)s.") % {"id": slug[:64]})
        WorkflowApproval.objects.filter(workflow_slug=slug, withdrawn_at__isnull=True).update(
            withdrawn_at=now
        )
        WorkflowApproval.objects.create(
            workflow_slug=slug, version=version, approved_by=actor.name, approved_at=now
        )
        audit.record(
            action="live.approve_workflow", actor=actor, object_type="workflow", object_id=slug,
            after={"version": version},
        )  # fmt: skip


def withdraw_workflow(slug: str, *, actor: Actor, now: datetime) -> None:
    """Take it back: accounts it trades send nothing from now on."""
    with transaction.atomic():
        rows = WorkflowApproval.objects.filter(workflow_slug=slug, withdrawn_at__isnull=True)
        if rows.update(withdrawn_at=now):
            audit.record(action="live.withdraw_workflow", actor=actor, object_type="workflow", object_id=slug)
