"""The order machine: every pair of state and event, allowed or not."""

from __future__ import annotations

import pytest

from assets.trading.models import Order
from assets.trading.states import FINISHED, IN_DOUBT, OPEN, ORDER, WORKING
from tradingsite.foundation.transitions import IllegalTransition

ALLOWED = {
    "new": {"deny": "denied", "send": "sending", "expire": "expired", "cancel": "cancelled"},
    "sending": {"accept": "accepted", "reject": "rejected", "lose": "unknown", "withdraw": "expired", "expire": "expired",
                "fill_part": "partially_filled", "fill": "filled"},
    "unknown": {"accept": "accepted", "reject": "rejected", "expire": "expired", "fill_part": "partially_filled",
                "fill": "filled"},
    "accepted": {"fill_part": "partially_filled", "fill": "filled", "request_cancel": "cancel_pending",
                 "expire": "expired", "cancel": "cancelled"},
    "partially_filled": {"fill_part": "partially_filled", "fill": "filled", "request_cancel": "cancel_pending",
                         "expire": "expired", "cancel": "cancelled"},
    "cancel_pending": {"cancel": "cancelled", "fill_part": "cancel_pending", "fill": "filled", "expire": "expired"},
    "cancelled": {"fill_part": "cancelled", "fill": "filled", "reappear": "cancel_pending"},
    "expired": {"fill_part": "expired", "fill": "filled", "reappear": "cancel_pending"},
    "filled": {"overfill": "filled"},
    "denied": {},
    "rejected": {"fill_part": "rejected", "fill": "filled", "reappear": "cancel_pending"},
}  # fmt: skip


@pytest.mark.parametrize("state", Order.Status.values)
@pytest.mark.parametrize("event", sorted(ORDER.events))
def test_every_pair_does_what_the_table_says(state: str, event: str) -> None:
    expected = ALLOWED[state].get(event)
    if expected is None:
        with pytest.raises(IllegalTransition):
            ORDER.next(state, event)
    else:
        assert ORDER.next(state, event) == expected


def test_the_groups_cover_every_state_once() -> None:
    assert set(OPEN) | set(FINISHED) == set(Order.Status.values)
    assert not set(OPEN) & set(FINISHED)
    assert set(OPEN) == {"new", *IN_DOUBT, *WORKING}
    assert set(WORKING) == set(Order.WORKING)


def test_an_order_in_doubt_never_becomes_new_again() -> None:
    assert "new" not in set(ORDER.table.values())
