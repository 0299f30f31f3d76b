"""How ETFs plug into the orchestrator."""

from __future__ import annotations

from datetime import timedelta

from django.utils.translation import gettext_lazy as _

from assets.etf import params, tasks
from assets.etf.universe import ACCOUNT, INSTRUMENTS, KEY
from assets.markets import universe
from assets.quant.trailing import StopRule
from assets.research.observation import Watch
from assets.trading import reasons, registry
from assets.trading.registry import StopPolicy
from orchestrator import plugins
from orchestrator.plugins import CadenceBounds, Lane, Priority, TaskSpec, WorkflowType

# A portfolio of funds is as nervous as their mean; 14 % a year is quiet.
WATCH = Watch(
    asset_type=KEY,
    reference=0.14,
    threshold=0.30,
    band_sigmas=2.5,
    combine="mean",
    settle_param="quiet_open_min",
    settle_min=5.0,
)

# Shares of a portfolio are not sold because one fell; a person hears of it.
STOP = StopPolicy(rule=lambda values: StopRule(multiple=1.0, low=0.15, high=0.15, trails=False), acts=False)

WORKFLOW = WorkflowType(
    key=KEY,
    title=_("ETF"),
    description=_(
        "Holds the strongest funds by inverse volatility; monthly, and when a weight leaves its band."
    ),
    lane=Lane.TRADING,
    priority=Priority.HIGH,
    bounds=CadenceBounds(minimum=timedelta(hours=1), base=timedelta(hours=6), maximum=timedelta(hours=24)),
    steps=(
        TaskSpec(name="analyze_etf_performance", run=tasks.analyze_etf_performance),
        TaskSpec(name="rebalance_etf_portfolio", run=tasks.rebalance_etf_portfolio),
    ),
    asset_type=KEY,
    params=params.SCHEMA,
    observe=WATCH.observe,
    exposure=WATCH.exposure,
)


TEXTS = {
    "rebalance_monthly": _("The monthly date: %(weight_percent)s %% becomes %(target_percent)s %%."),
    "rebalance_band": _("A weight left its band: %(weight_percent)s %% becomes %(target_percent)s %%."),
    "inside_band": _(
        "No weight is farther than %(band_percent)s %% from its target (largest: %(value_percent)s %%)."
    ),
    "momentum_rank": _("Momentum is %(value_percent)s %% over %(bars)s bars."),
    "inverse_volatility": _("Volatility is %(value_percent)s %% a year."),
    "opening": _("The market opened %(value)s minutes ago; trading waits for %(minutes)s."),
    "closing": _("The market closes in %(value)s minutes; trading stops %(minutes)s before."),
}


def register() -> None:
    """Called once when the app is ready."""
    universe.register(KEY, INSTRUMENTS)
    registry.register_account(ACCOUNT)
    registry.register_stop(KEY, STOP)
    plugins.register(WORKFLOW)
    reasons.register(TEXTS)
