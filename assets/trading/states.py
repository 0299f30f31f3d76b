"""The order machine. A missing pair raises; odd but real pairs say why they are here."""

from __future__ import annotations

from typing import Final

from tradingsite.foundation.transitions import Machine

ORDER: Final = Machine(
    "order",
    {
        ("new", "deny"): "denied",
        ("new", "send"): "sending",
        ("new", "expire"): "expired",
        ("new", "cancel"): "cancelled",
        ("sending", "accept"): "accepted",
        ("sending", "reject"): "rejected",
        ("sending", "lose"): "unknown",
        # Between the claim and the call the switch, the epoch or the data changed: nothing has left this
        # process.
        ("sending", "withdraw"): "expired",
        # Recovery only: the venue proved after the quarantine that it never had it.
        ("sending", "expire"): "expired",
        ("unknown", "accept"): "accepted",
        ("unknown", "reject"): "rejected",
        ("unknown", "expire"): "expired",
        ("accepted", "fill_part"): "partially_filled",
        ("accepted", "fill"): "filled",
        ("partially_filled", "fill_part"): "partially_filled",
        ("partially_filled", "fill"): "filled",
        ("accepted", "request_cancel"): "cancel_pending",
        ("partially_filled", "request_cancel"): "cancel_pending",
        ("cancel_pending", "cancel"): "cancelled",
        ("cancel_pending", "fill_part"): "cancel_pending",
        ("cancel_pending", "fill"): "filled",
        # The validity is over, at our paper venue or at a real one.
        ("accepted", "expire"): "expired",
        ("partially_filled", "expire"): "expired",
        ("cancel_pending", "expire"): "expired",
        # Real world: the venue cancels by itself (halt, self-trade prevention).
        ("accepted", "cancel"): "cancelled",
        ("partially_filled", "cancel"): "cancelled",
        # Real world: the fill overtakes the answer to our own request.
        ("sending", "fill_part"): "partially_filled",
        ("sending", "fill"): "filled",
        ("unknown", "fill_part"): "partially_filled",
        ("unknown", "fill"): "filled",
        # Real world: a fill that crossed our cancel arrives after it. It happened, so it is booked.
        ("cancelled", "fill_part"): "cancelled",
        ("cancelled", "fill"): "filled",
        ("expired", "fill_part"): "expired",
        ("expired", "fill"): "filled",
        # Real world: a venue fills more than was ordered. Booked once, flagged by an alert.
        ("filled", "overfill"): "filled",
        # Real world: a venue says no and trades all the same. It happened, so it is booked.
        ("rejected", "fill_part"): "rejected",
        ("rejected", "fill"): "filled",
        # Real world: it lives at the venue after we had given it up. It is taken back, and until that is done it counts.
        ("expired", "reappear"): "cancel_pending",
        ("cancelled", "reappear"): "cancel_pending",
        ("rejected", "reappear"): "cancel_pending",
    },
    terminal=frozenset({"denied"}),
)

WORKING: Final = ("accepted", "partially_filled", "cancel_pending")
"""At the venue: may still fill."""

IN_DOUBT: Final = ("sending", "unknown")
"""May be at the venue. No new entry on the instrument until resolved."""

OPEN: Final = ("new", *IN_DOUBT, *WORKING)

FINISHED: Final = ("denied", "filled", "cancelled", "rejected", "expired")
