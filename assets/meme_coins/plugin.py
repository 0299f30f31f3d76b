"""How meme coins plug into the orchestrator."""

from __future__ import annotations

from datetime import timedelta

from django.utils.translation import gettext_lazy as _

from assets.markets import universe
from assets.meme_coins import params, strategy, tasks
from assets.meme_coins.universe import ACCOUNT, INSTRUMENTS, KEY
from assets.research.observation import Watch
from assets.trading import reasons, registry
from assets.trading.registry import StopPolicy
from orchestrator import plugins
from orchestrator.plugins import CadenceBounds, Lane, Priority, TaskSpec, WorkflowType

# At 60 % a year five minutes is right; the liveliest coin sets the pace.
WATCH = Watch(asset_type=KEY, reference=0.60, threshold=0.80, combine="max")

STOP = StopPolicy(rule=lambda values: strategy.stop_rule(params.read(values)), bars="1m")

WORKFLOW = WorkflowType(
    key=KEY,
    title=_("Meme coins"),
    description=_("Momentum and volume bursts, long only, every one to two minutes when it is wild."),
    lane=Lane.TRADING,
    priority=Priority.HIGH,
    bounds=CadenceBounds(
        minimum=timedelta(seconds=60), base=timedelta(seconds=300), maximum=timedelta(seconds=900)
    ),
    steps=(
        TaskSpec(name="analyze_meme_trends", run=tasks.analyze_meme_trends),
        TaskSpec(name="execute_meme_trades", run=tasks.execute_meme_trades),
    ),
    asset_type=KEY,
    params=params.SCHEMA,
    observe=WATCH.observe,
    exposure=WATCH.exposure,
    load_weight=0.5,
)


TEXTS = {
    "momentum": _("The move is %(value)s σ strong, at least %(threshold)s σ are needed."),
    "momentum_weak": _("The move is only %(value)s σ strong; %(threshold)s σ are needed."),
    "momentum_gone": _("The move has fallen to %(value)s σ, below %(threshold)s σ."),
    "volume_burst": _("Volume is %(value)s times the usual, at least %(threshold)s are needed."),
    "volume_quiet": _("Volume is only %(value)s times the usual; %(threshold)s are needed."),
    "liquidity_low": _("Turnover is %(value)s per minute; %(threshold)s are needed."),
    "spread_wide": _("The spread is %(value)s bps; at most %(threshold)s bps are allowed."),
}


def register() -> None:
    """Called once when the app is ready."""
    universe.register(KEY, INSTRUMENTS)
    registry.register_account(ACCOUNT)
    registry.register_stop(KEY, STOP)
    plugins.register(WORKFLOW)
    reasons.register(TEXTS)
