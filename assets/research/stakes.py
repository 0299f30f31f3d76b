"""What a person may set about the size of positions; the same words for every strategy that takes positions one by one."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.utils.translation import gettext_lazy as _

from assets.quant.sizing import METHODS
from assets.trading.models import Account
from assets.trading.services import risk_facts
from orchestrator.params import Param

RECORD_FOR: Final = timedelta(days=365)

SIZING: Final[tuple[Param, ...]] = (
    Param(
        name="sizing", kind="choice", default="risk", choices=METHODS, label=_("Size of a position by"),
        help=_(
            "risk: what a hit stop costs. fixed: always the same share. volatility: the share whose yearly volatility is "
            "the target. kelly: by the proven edge of its own closed trades; nothing while it is not significant."
        ),
    ),
    Param(
        name="fixed_weight", kind="float", default=0.10, minimum=0.001, maximum=1.0, label=_("Fixed share"),
        unit=_("of capital"), help=_("Only for the size by a fixed share."),
    ),
    Param(
        name="target_volatility", kind="float", default=0.10, minimum=0.005, maximum=2.0, label=_("Target volatility"),
        unit=_("per year"), help=_("Only for the size by volatility: what one position may contribute."),
    ),
    Param(
        name="kelly_fraction", kind="float", default=0.25, minimum=0.01, maximum=0.5, label=_("Fraction of Kelly"),
        unit="0-1", help=_("Full Kelly is too much for an edge that is only estimated; a quarter is usual."),
    ),
    Param(
        name="kelly_cap", kind="float", default=0.10, minimum=0.001, maximum=0.25, label=_("Most by Kelly"),
        unit=_("of capital"), help=_("However good the record looks."),
    ),
)  # fmt: skip


def record(account: Account, now: datetime) -> tuple[float, ...]:
    """Gains over cost of the account's trades closed in the last year, oldest first."""
    found = risk_facts.closed_trades([account], now - RECORD_FOR, now).get(account.pk, [])
    return tuple(trade.gain for trade in found)
