"""How long-term crypto plugs into the orchestrator."""

from __future__ import annotations

from datetime import timedelta

from django.utils.translation import gettext_lazy as _

from assets.crypto_lt import params, tasks
from assets.crypto_lt.universe import ACCOUNT, INSTRUMENTS, KEY
from assets.markets import universe
from assets.quant.trailing import StopRule
from assets.research.observation import Watch
from assets.trading import reasons, registry
from assets.trading.registry import StopPolicy
from orchestrator import plugins
from orchestrator.plugins import CadenceBounds, Lane, Priority, TaskSpec, WorkflowType

# A portfolio is as nervous as its weighted mean; 45 % a year is an ordinary day.
WATCH = Watch(
    asset_type=KEY, reference=0.45, threshold=0.60, band_sigmas=2.5, combine="mean", weights=params.shares
)

# A quarter below its price a holding is worth a look; who saves for years does not sell because of it.
STOP = StopPolicy(rule=lambda values: StopRule(multiple=1.0, low=0.25, high=0.25, trails=False), acts=False)

WORKFLOW = WorkflowType(
    key=KEY,
    title=_("Crypto long term"),
    description=_(
        "Buys a little every day, more after a fall, less when it is wild; keeps the shares in their bands."
    ),
    lane=Lane.TRADING,
    priority=Priority.HIGH,
    bounds=CadenceBounds(minimum=timedelta(hours=1), base=timedelta(hours=4), maximum=timedelta(hours=12)),
    steps=(
        TaskSpec(name="analyze_crypto_longterm", run=tasks.analyze_crypto_longterm),
        TaskSpec(name="execute_crypto_dca", run=tasks.execute_crypto_dca),
    ),
    asset_type=KEY,
    params=params.SCHEMA,
    observe=WATCH.observe,
    exposure=WATCH.exposure,
)


TEXTS = {
    "dca_buy": _("A purchase is due (one every %(every_h)s h): %(value)s."),
    "dca_not_due": _("The last purchase was %(value)s h ago; one is due every %(every_h)s h."),
    "dca_no_budget": _(
        "Nothing is left of the budget, the cash or the largest position (%(weekly_budget)s a week)."
    ),
    "drawdown": _("The price is %(value_percent)s %% from its recent high."),
    "volatility": _("Volatility is %(value_percent)s %% a year; %(reference_percent)s %% is ordinary."),
    "multiple": _("The purchase is %(value)s times the ordinary one, at most %(limit)s."),
    "rebalance": _(
        "Its share is %(share_percent)s %%, the target %(target_percent)s %%; the shares are put right."
    ),
}


def register() -> None:
    """Called once when the app is ready."""
    universe.register(KEY, INSTRUMENTS)
    registry.register_account(ACCOUNT)
    registry.register_stop(KEY, STOP)
    plugins.register(WORKFLOW)
    reasons.register(TEXTS)
