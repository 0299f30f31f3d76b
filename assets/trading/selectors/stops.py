"""The stops of open positions, for pages and the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from assets.trading.models import ProtectiveStop


@dataclass(frozen=True, kw_only=True, slots=True)
class StopRow:
    """One stop. Prices in the quote currency; `acts` False: passing the level is told, nothing is sold."""

    level: float
    entry: float
    risk: float
    cause: str
    status: str
    acts: bool
    moved_at: datetime

    @property
    def words(self) -> str:
        """Where the level comes from, in the language in force."""
        if self.status == ProtectiveStop.Status.HIT:
            return _("hit, being closed")
        if not self.acts:
            return _("warning only")
        return {
            "initial": _("first stop"), "break_even": _("at the entry"), "trailing": _("follows the price"),
            "age": _("too old"),
        }.get(self.cause, self.cause)  # fmt: skip


def open_stops(instrument_pk: int | None = None) -> Mapping[tuple[int, int], StopRow]:
    """By account and instrument. One query."""
    rows = ProtectiveStop.objects.exclude(status=ProtectiveStop.Status.CLOSED).select_related("position")
    if instrument_pk is not None:
        rows = rows.filter(position__instrument_id=instrument_pk)
    return {
        (row.position.account_id, row.position.instrument_id): StopRow(
            level=row.level, entry=row.entry, risk=row.risk, cause=row.cause, status=row.status, acts=row.acts,
            moved_at=row.moved_at,
        )
        for row in rows
    }  # fmt: skip
