"""What the health monitor is told about market data: one finding per asset type, however many instruments are behind."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from django.utils.translation import gettext_lazy as _

from assets.markets.selectors import pages
from assets.markets.staleness import Word
from orchestrator.health import checks
from orchestrator.health.findings import Finding
from orchestrator.services import beats
from tradingsite.foundation import alerts

_BEHIND: Final = (Word.STALE.value, Word.MISSING.value)
_SHOWN: Final = 5
_GRACE: Final = timedelta(seconds=60)  # one bar of the finest timeframe that feeds bring
_SETTLED: Final = timedelta(minutes=10)
_HEARD: Final = timedelta(seconds=30)


def data_is_fresh(now: datetime) -> Iterator[Finding]:
    """Open markets whose newest bar is too old to decide on. Critical when none of an asset type is usable."""
    if _is_starting(now):
        return
    by_type: dict[str, list[pages.InstrumentRow]] = {}
    for row in pages.instruments(now):
        by_type.setdefault(row.asset_type, []).append(row)
    for asset_type, rows in sorted(by_type.items()):
        behind = [row for row in rows if row.freshness in _BEHIND]
        if not behind:
            continue
        ages = [row.age_s for row in behind if row.age_s is not None]
        yield Finding(
            component="market_data", subject=asset_type, code="stale",
            severity="critical" if len(behind) == len(rows) else "warning",
            detail={
                "count": len(behind), "of": len(rows), "symbols": ", ".join(row.symbol for row in behind[:_SHOWN]),
                "age_s": round(max(ages)) if ages else None,
            },
        )  # fmt: skip


def _is_starting(now: datetime) -> bool:
    """Whether the system began so lately that its feed cannot have fetched yet what happened meanwhile.

    The monitor (in the loop) may look before the feed has shown its first sign of life. A feed that falls again and
    again under a loop that stands has no grace.
    """
    starts = beats.newest_starts(now, _HEARD)
    loop, feed = starts.get("loop"), starts.get("feed")
    if loop is None or now - loop > _SETTLED:
        return False
    return now - max(loop, feed or loop) < _GRACE


def register() -> None:
    """Called once while apps load."""
    checks.register("markets", data_is_fresh)
    alerts.register_text(
        "health-market_data-stale",
        _("Prices of %(subject)s are too old"),
        _(
            "%(count)s of %(of)s instruments have no fresh bar (%(symbols)s). No new position is opened on them. "
            "See Markets for the feed's last error."
        ),
    )
