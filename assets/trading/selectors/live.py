"""Whether an account may trade real money now, and what speaks for or against it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Exists, Max, Min, OuterRef, Q

from assets.trading.models import Fill, LiveApproval, WorkflowApproval
from orchestrator.models import Workflow


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkflowRow:
    """A workflow that trades an asset type, and whether a person approved the version it has now."""

    slug: str
    name: str
    version: int
    is_approved: bool


def is_approved(account_id: int, asset_type: str, now: datetime) -> bool:
    """Fresh from the database: the approval counts now, and every workflow of the type is as somebody approved it."""
    valid = LiveApproval.objects.filter(
        account_id=account_id, revoked_at__isnull=True, approved_at__lte=now, expires_at__gt=now
    )
    return valid.exists() and not _changed(asset_type).exists()


def _live(asset_type: str) -> Any:
    current = WorkflowApproval.objects.filter(
        workflow_slug=OuterRef("slug"), version=OuterRef("version"), withdrawn_at__isnull=True
    )
    rows = Workflow.objects.filter(asset_type=asset_type).exclude(status=Workflow.Status.ARCHIVED)
    return rows.annotate(is_approved=Exists(current))


def _changed(asset_type: str) -> Any:
    return _live(asset_type).filter(is_approved=False)


def workflows(asset_type: str) -> list[WorkflowRow]:
    """Every workflow of an asset type. One query."""
    rows = _live(asset_type).order_by("slug")
    return [
        WorkflowRow(slug=row.slug, name=row.name, version=row.version, is_approved=row.is_approved)
        for row in rows
    ]


def approval(account_id: int) -> LiveApproval | None:
    """The one that is not revoked; it may have expired."""
    return LiveApproval.objects.filter(account_id=account_id, revoked_at__isnull=True).first()


def last(account_id: int) -> LiveApproval | None:
    """The newest approval, whatever became of it."""
    return LiveApproval.objects.filter(account_id=account_id).first()


def paper_record(asset_type: str) -> tuple[int, float]:
    """Orders that traded on the paper account with real prices, and days between the first and the last. One query."""
    rows = Fill.objects.filter(
        Q(account__broker="paper"), account__asset_type=asset_type, account__is_demo=False
    ).aggregate(orders=Count("order", distinct=True), first=Min("at"), last=Max("at"))
    if not rows["first"]:
        return 0, 0.0
    return int(rows["orders"]), (rows["last"] - rows["first"]).total_seconds() / 86_400
