"""The research workflow: a look over all markets, in the maintenance lane."""

from __future__ import annotations

from datetime import timedelta

from django.utils.translation import gettext_lazy as _

from assets.research import market_analysis
from assets.trading import reasons
from orchestrator import plugins
from orchestrator.plugins import CadenceBounds, Lane, Priority, TaskSpec, WorkflowType

KEY = "ai_market_analysis"

WORKFLOW = WorkflowType(
    key=KEY,
    title=_("Market analysis"),
    description=_(
        "Regime, volatility and breadth of every asset type, and how they move together. Trades nothing."
    ),
    lane=Lane.MAINTENANCE,
    priority=Priority.LOW,
    bounds=CadenceBounds(minimum=timedelta(minutes=15), base=timedelta(hours=1), maximum=timedelta(hours=6)),
    steps=(TaskSpec(name=KEY, run=market_analysis.ai_market_analysis),),
    load_weight=2.0,
)


# Words that strategies of several asset types share.
TEXTS = {
    "hold": _("Still worth holding (%(value)s)."),
    "stop_hit": _("The stop at %(stop_ratio_percent)s %% was reached: %(value_percent)s %% since the entry."),
    "by_hand": _("Somebody placed it by hand."),
    "flatten": _("Somebody wants out of every position."),
    "size_risk": _(
        "Sized so that the stop, %(stop_ratio_percent)s %% away, costs the risk allowed: %(value_percent)s %%."
    ),
    "size_fixed": _("Sized as a fixed share: %(value_percent)s %%."),
    "size_volatility": _(
        "Sized for a volatility of %(target_volatility_percent)s %% a year (it has %(volatility_percent)s %%): "
        "%(value_percent)s %%."
    ),
    "size_largest_position": _("Sized at the largest position allowed: %(value_percent)s %%."),
    "size_kelly_sized": _(
        "Sized by Kelly: %(kelly_fraction)s of %(kelly_full_percent)s %%, from %(kelly_trades)s trades with an edge of at "
        "least %(kelly_edge_percent)s %%: %(value_percent)s %%."
    ),
    "size_kelly_capped": _(
        "Sized by Kelly from %(kelly_trades)s trades, at its cap: %(value_percent)s %% (full: %(kelly_full_percent)s %%)."
    ),
    "size_kelly_no_edge": _("Kelly stakes nothing: the edge of %(kelly_trades)s trades is not significant."),
    "size_kelly_too_few": _(
        "Kelly stakes nothing: %(kelly_trades)s closed trades are too few, 30 are needed."
    ),
    "size_kelly_no_variance": _("Kelly stakes nothing: the record never varies, which cannot be right."),
    "risk_size": _(
        "Sized so that the stop, %(stop_ratio_percent)s %% away, costs the risk allowed: %(value_percent)s %%."
    ),
}


def register() -> None:
    """Called once when the app is ready."""
    plugins.register(WORKFLOW)
    reasons.register(TEXTS)
