"""What codes of orders mean, in a few words."""

from __future__ import annotations

from typing import Any, Final

from django.utils.translation import gettext_lazy as _

_CODES: Final[dict[str, Any]] = {
    "account_halted": _("the account is halted"),
    "account_reducing": _("the account only reduces positions"),
    "below_lot": _("smaller than one lot"),
    "below_min_notional": _("below the venue's smallest amount"),
    "below_min_quantity": _("below the venue's smallest quantity"),
    "buying_power": _("not enough cash"),
    "cancelled": _("cancelled"),
    "conversion_unknown": _("no conversion rate is known"),
    "correlated_exposure": _("too much in positions that move together"),
    "daily_loss": _("the loss of the day has reached its limit"),
    "data_stale": _("the price is too old"),
    "dead_band": _("the difference is too small to trade"),
    "drawdown": _("the drawdown has reached its limit"),
    "dust": _("what would be left is too small to sell"),
    "entries_paused": _("new entries are paused"),
    "equity_unknown": _("the account's equity is not known"),
    "lock_cooldown": _("it rests after it was closed"),
    "lock_low_profit": _("it only lost lately: locked for a while"),
    "lock_max_drawdown": _("too much was lost: entries are locked for a while"),
    "lock_stop_guard": _("too many stops were hit: entries are locked for a while"),
    "lot_step": _("not a whole number of lots"),
    "market_closed": _("the market is closed"),
    "max_order_notional": _("larger than one order may be"),
    "max_position_ratio": _("the position would be too large"),
    "not_allowed": _("not on the list of allowed instruments"),
    "no_answer": _("the venue did not answer"),
    "no_equity": _("no equity is left"),
    "on_target": _("already where it should be"),
    "order_in_doubt": _("an earlier order is in doubt"),
    "orders_per_day": _("too many orders today"),
    "order_rate": _("too many orders in a minute"),
    "price_band": _("priced too far beyond the market"),
    "price_unknown": _("no price is known"),
    "rejected_at_venue": _("rejected by the venue"),
    "short_not_allowed": _("short positions are not allowed"),
    "live_not_allowed": _("real money is not switched on"),
    "came_back": _("it had ended here and lived at the venue"),
    "key_can_withdraw": _("the account's API key can withdraw money"),
    "no-venue-key": _("the account has no API key"),
    "not_at_venue": _("it never reached the venue"),
    "outside_receive_window": _("it took too long to reach the venue"),
    "too_late": _("it took too long to leave"),
    "rate_limited": _("the venue asks for a pause"),
    "venue_silent": _("the venue is silent"),
    "day_trading": _("the venue limits day trading"),
    "not_reconciled": _("our books and the venue's have not been found equal lately"),
    "stopped": _("trading was stopped"),
    "total_exposure": _("too much is invested in all accounts together"),
    "superseded": _("a newer run took over"),
    "stop_hit": _("a stop is closing the position"),
    "too_old": _("no longer valid"),
}


def code_words(code: str) -> str:
    """The code in words; an unknown one as it is, with spaces."""
    return str(_CODES.get(code, code.replace("_", " ").replace("-", " ")))
