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
    "data_stale": _("the price is too old"),
    "dead_band": _("the difference is too small to trade"),
    "dust": _("what would be left is too small to sell"),
    "entries_paused": _("new entries are paused"),
    "equity_unknown": _("the account's equity is not known"),
    "lot_step": _("not a whole number of lots"),
    "market_closed": _("the market is closed"),
    "max_order_notional": _("larger than one order may be"),
    "max_position_ratio": _("the position would be too large"),
    "no_answer": _("the venue did not answer"),
    "no_equity": _("no equity is left"),
    "on_target": _("already where it should be"),
    "order_in_doubt": _("an earlier order is in doubt"),
    "order_rate": _("too many orders in a minute"),
    "price_unknown": _("no price is known"),
    "rejected_at_venue": _("rejected by the venue"),
    "short_not_allowed": _("short positions are not allowed"),
    "live_not_allowed": _("real money is not switched on"),
    "not_reconciled": _("our books and the venue's have not been found equal lately"),
    "stopped": _("trading was stopped"),
    "superseded": _("a newer run took over"),
    "too_old": _("no longer valid"),
}


def code_words(code: str) -> str:
    """The code in words; an unknown one as it is, with spaces."""
    return str(_CODES.get(code, code.replace("_", " ").replace("-", " ")))
