"""Taking the demo away, from the command line and from the page: only demo rows, all of them, audited."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from assets.markets.selectors.pages import is_demo_feed
from assets.markets.services import demo as markets
from assets.trading.services import demo as trading
from orchestrator.services import forgetting
from tradingsite.foundation import audit, selectors, services
from tradingsite.foundation.errors import Refused

PHRASE = "remove demo"
REMOVED = "demo.removed"  # the setting that keeps the next start from making it again


def counts() -> dict[str, int]:
    """How many rows of each kind would go."""
    found = {**trading.count(), **markets.count()}
    return found if markets.real_prices_seen() else {**found, **forgetting.count()}


def was_removed() -> bool:
    """Whether a person took the demo away: no start may make it again by itself."""
    return bool(selectors.setting(REMOVED, False))


def is_wanted() -> bool:
    """Whether demo accounts and simulated instruments belong into this installation."""
    return is_demo_feed() and not was_removed()


def bring_back(actor: audit.Actor, now: datetime) -> None:
    """Let the next bootstrap make the demo again."""
    if was_removed():
        services.put_setting(REMOVED, False, actor=actor, now=now)


def next_step() -> str:
    """What whoever removed the demo does next."""
    if not is_demo_feed():
        return _("The feed %(feed)s brings real prices; paper accounts trade on them.") % {
            "feed": settings.TRADING_FEED
        }
    return _(
        "Prices are still simulated (TRADING_FEED=simulated), so nothing trades now. For real prices set the variable "
        "TRADING_FEED, for example TRADING_FEED=binance, and start again. manage.py seed_demo makes a new demo."
    )


def how_to_begin_anew() -> str:
    """What to do when a database with decisions is to get a demo past."""
    if markets.real_prices_seen():
        return (
            "Its decisions were made about real prices. Give the demo a directory of its own: "
            "TRADING_VAR_DIR=/absolute/path manage.py migrate, then the same with seed_demo."
        )
    return (
        "They were made about simulated prices only, so the demo can begin anew. Stop the system, then: "
        f'manage.py seed_demo --remove --confirm "{PHRASE}" and manage.py seed_demo'
    )


def why_not(*, is_running: bool) -> str:
    """Why the demo cannot be taken away now; empty when it can. `is_running`: other processes of this system live."""
    if is_running and is_demo_feed():
        return _(
            "The system trades with simulated prices right now. Stop it and run: manage.py seed_demo --remove; "
            "or choose another feed (TRADING_FEED) and start again."
        )
    if forgetting.open_runs() and not markets.real_prices_seen():
        return _("A run is still open. Wait until it has ended.")
    return ""


def remove(actor: audit.Actor, now: datetime, *, is_running: bool, reason: str = "") -> dict[str, int]:
    """Delete the demo accounts and everything on them, the simulated instruments and their candles.

    Decisions, runs and what was learned go too, unless a real price was ever seen: then they are not only the demo's.
    Nothing else is touched; one transaction, audited, and remembered: no later start makes the demo again. Raises Refused while the demo is in use.
    """
    problem = why_not(is_running=is_running)
    if problem:
        raise Refused(problem, code="demo-in-use")
    with transaction.atomic():
        services.remember(REMOVED, True, now)
        has_other_past = markets.real_prices_seen()
        gone = {**trading.remove(), **markets.remove()}
        if not has_other_past:  # after the intents, which point at runs
            gone |= forgetting.forget_past()
        audit.record(
            action="demo.remove",
            actor=actor,
            object_type="demo",
            before=gone,
            after=dict.fromkeys(gone, 0),
            reason=reason,
        )
    return gone
