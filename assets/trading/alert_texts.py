"""Words of trading's alerts."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from tradingsite.foundation import alerts


def register() -> None:
    """Called once while apps load."""
    alerts.register_text(
        "order-in-doubt",
        _("Order of %(subject)s in doubt"),
        _(
            "It is not known whether the venue has order %(order)s (%(why)s). New entries on this instrument wait. "
            "Look at the venue's own order list and resolve it there."
        ),
    )
    alerts.register_text(
        "order-came-back",
        _("Order of %(subject)s lives at the venue after it had ended here"),
        _(
            "Order %(order)s was %(was)s here and the venue accepted it all the same. It is being taken back and what it "
            "traded is booked; check the position."
        ),
    )
    alerts.register_text(
        "order-overfilled",
        _("%(subject)s filled beyond its order"),
        _(
            "Order %(order)s asked for %(quantity)s and %(filled)s were executed. "
            "All of it is booked; check the position."
        ),
    )
    alerts.register_text(
        "trade-id-conflict",
        _("%(subject)s: one trade id, two trades"),
        _(
            "Trade %(trade_id)s of order %(order)s was reported again with other numbers. The first report is booked."
        ),
    )
    alerts.register_text(
        "order-rate-breaker",
        _("%(subject)s halted: too many orders"),
        _(
            "More than %(limit)s orders a minute were wanted. "
            "The account sends nothing until a person activates it again."
        ),
    )
    alerts.register_text(
        "stop-level-passed",
        _("%(subject)s is beyond its warning level"),
        _(
            "The price is %(price)s; bought at %(entry)s, the level is %(level)s. Positions of this kind are not "
            "closed by themselves: decide whether to keep it."
        ),
    )
    alerts.register_text(
        "not-reconciled",
        _("%(subject)s: its books could not be compared with the venue's"),
        _(
            "The last attempt ended with: %(why)s. The account sends nothing until orders and balances were found equal. "
            "Check that the venue answers and that the account's API key is stored and valid."
        ),
    )
    alerts.register_text(
        "live-revoked",
        _("%(subject)s trades no real money any more"),
        _(
            "The approval ended by itself: %(why)s. The account sends nothing, not even exits: look at its positions at the "
            "venue, and approve it again when the reason is gone."
        ),
    )
    alerts.register_text(
        "books-differ",
        _("%(subject)s: the venue's books differ from ours"),
        _(
            "%(count)s differences, the first: %(kind)s %(what)s, here %(ours)s, at the venue %(theirs)s. "
            "The account sends nothing until they are gone or a person has explained them."
        ),
    )
