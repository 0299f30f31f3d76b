"""How forex plugs into the orchestrator."""

from __future__ import annotations

from datetime import timedelta

from django.utils.translation import gettext_lazy as _

from assets.forex import params, strategy, tasks
from assets.forex.universe import ACCOUNT, INSTRUMENTS, KEY
from assets.markets import universe
from assets.research.observation import Watch
from assets.trading import reasons, registry
from assets.trading.registry import StopPolicy
from orchestrator import plugins
from orchestrator.plugins import CadenceBounds, Lane, Priority, TaskSpec, WorkflowType

# Pairs move 5 to 12 % a year on most days.
WATCH = Watch(asset_type=KEY, reference=0.08, threshold=0.50, combine="max")

STOP = StopPolicy(rule=lambda values: strategy.stop_rule(params.read(values)), bars="15m")

WORKFLOW = WorkflowType(
    key=KEY,
    title=_("Forex"),
    description=_("Follows trends, fades swings, respects the sessions, flat before the weekend."),
    lane=Lane.TRADING,
    priority=Priority.HIGH,
    bounds=CadenceBounds(
        minimum=timedelta(minutes=15), base=timedelta(minutes=20), maximum=timedelta(minutes=30)
    ),
    steps=(
        TaskSpec(name="analyze_forex_pairs", run=tasks.analyze_forex_pairs),
        TaskSpec(name="execute_forex_trades", run=tasks.execute_forex_trades),
    ),
    asset_type=KEY,
    params=params.SCHEMA,
    observe=WATCH.observe,
    exposure=WATCH.exposure,
    load_weight=0.75,
)


TEXTS = {
    "trend": _("The trend is %(value)s on a scale from -1 to 1; %(threshold)s is needed."),
    "reversion": _("The price is %(value)s σ from its average; %(threshold)s σ are needed."),
    "regime": _("The market is %(regime)s."),
    "regime_unsuited": _("The market is %(regime)s: it is only watched."),
    "edge_gone": _("The trend (%(value)s) has turned and the price is back at its average."),
    "session_quiet": _("The session is too quiet (%(value)s; %(threshold)s is needed)."),
    "weekend_near": _("The weekend is %(value)s minutes away; nothing is entered now."),
    "weekend_flat": _("The weekend is %(value)s minutes away; everything is closed."),
}


def register() -> None:
    """Called once when the app is ready."""
    universe.register(KEY, INSTRUMENTS)
    registry.register_account(ACCOUNT)
    registry.register_stop(KEY, STOP)
    plugins.register(WORKFLOW)
    reasons.register(TEXTS)
