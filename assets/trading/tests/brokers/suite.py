"""The suite every broker passes. A class per venue gives the fixture `desk`; see desk.Desk."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from assets.trading.brokers.base import Accepted, Rejected
from assets.trading.tests.brokers.desk import D, Desk, make, place, request_of
from tradingsite.foundation import clock
from tradingsite.foundation.errors import Unavailable


class BrokerSuite:
    """Subclass it, give it a `desk`, and pytest runs all of it."""

    # --- Facts ------------------------------------------------------------------------------------------------

    def test_what_it_can_do_is_said(self, desk: Desk) -> None:
        able = desk.broker.capabilities
        assert {"market", "limit"} <= able.order_types and able.max_client_id >= 28
        assert able.quarantine > timedelta(0)

    def test_our_client_ids_fit(self, desk: Desk) -> None:
        assert len(make(desk).client_id) <= desk.broker.capabilities.max_client_id

    # --- Placing ----------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("side", ["buy", "sell"])
    @pytest.mark.parametrize("limit", [None, "50", "150"])
    def test_a_sound_order_is_accepted(self, desk: Desk, side: str, limit: str | None) -> None:
        answer = desk.broker.place(request_of(make(desk, side=side, limit=limit)))
        assert isinstance(answer, Accepted) and answer.venue_id
        assert answer.at.tzinfo is not None and abs(answer.at - clock.now()) < timedelta(minutes=1)

    def test_each_order_has_its_own_id(self, desk: Desk) -> None:
        found = {place(desk, limit="50").venue_id for _ in range(3)}
        assert len(found) == 3

    @pytest.mark.parametrize("quantity", ["0.0000001", "1.00000000001", "0"])
    def test_a_quantity_that_is_no_whole_lot_is_rejected(self, desk: Desk, quantity: str) -> None:
        assert isinstance(desk.broker.place(request_of(make(desk, quantity=quantity))), Rejected)

    def test_a_rejection_has_a_code_and_leaves_nothing(self, desk: Desk) -> None:
        order = make(desk, quantity="0.0000001")
        answer = desk.broker.place(request_of(order))
        assert isinstance(answer, Rejected) and answer.code and answer.code.islower()
        assert desk.broker.fetch_order(order.client_id) is None
        assert desk.truth("accepted", order.client_id) == 0

    @pytest.mark.parametrize("quantity", ["0.123", "1", "2.5", "9.999"])
    def test_quantities_arrive_exactly(self, desk: Desk, quantity: str) -> None:
        order = place(desk, quantity=quantity, limit="50")
        found = desk.broker.fetch_order(order.client_id)
        assert found is not None and found.quantity == D(quantity)

    # --- Looking up -------------------------------------------------------------------------------------------

    def test_an_order_that_never_arrived_is_not_found(self, desk: Desk) -> None:
        assert desk.broker.fetch_order(make(desk).client_id) is None

    def test_a_resting_order_is_open(self, desk: Desk) -> None:
        order = place(desk, limit="50")
        found = desk.broker.fetch_order(order.client_id)
        assert found is not None
        assert (found.status, found.client_id, found.venue_id) == ("open", order.client_id, order.venue_id)
        assert found.symbol == desk.instrument.symbol and found.filled_quantity == 0 and found.trades == ()

    def test_looking_changes_nothing(self, desk: Desk) -> None:
        order = place(desk, limit="50")
        assert desk.broker.fetch_order(order.client_id) == desk.broker.fetch_order(order.client_id)
        assert desk.truth("accepted", order.client_id) <= 1

    def test_open_orders_are_listed_and_ended_ones_are_not(self, desk: Desk) -> None:
        resting, gone = place(desk, limit="50"), place(desk, limit="51")
        assert desk.broker.cancel(gone.client_id)
        type(gone).objects.filter(pk=gone.pk).update(status="cancelled")
        assert [row.client_id for row in desk.broker.open_orders()] == [resting.client_id]

    def test_without_orders_the_list_is_empty(self, desk: Desk) -> None:
        assert desk.broker.open_orders() == ()

    # --- Trades -----------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("parts", [["1"], ["0.4", "0.6"], ["0.001"] * 4])
    def test_trades_add_up_to_what_is_filled(self, desk: Desk, parts: list[str]) -> None:
        order = place(desk, limit="50")
        for part in parts:
            desk.fill(order, D(part))
        found = desk.broker.fetch_order(order.client_id)
        assert found is not None
        assert (
            sum((trade.quantity for trade in found.trades), D(0))
            == found.filled_quantity
            == sum(map(D, parts))
        )
        assert found.status == ("filled" if found.filled_quantity == order.quantity else "open")

    def test_each_trade_keeps_its_id(self, desk: Desk) -> None:
        order = place(desk, limit="50")
        desk.fill(order, D("0.3"))
        first = desk.broker.fetch_order(order.client_id)
        desk.fill(order, D("0.7"))
        second = desk.broker.fetch_order(order.client_id)
        assert first is not None and second is not None
        assert first.trades[0] == second.trades[0] and len({trade.trade_id for trade in second.trades}) == 2

    def test_trades_are_exact_and_timed(self, desk: Desk) -> None:
        order = place(desk, limit="50")
        desk.fill(order, D("0.3"))
        found = desk.broker.fetch_order(order.client_id)
        assert found is not None
        (trade,) = found.trades
        assert all(isinstance(value, Decimal) for value in (trade.quantity, trade.price, trade.fee))
        assert trade.price > 0 and trade.fee >= 0 and trade.fee_asset and trade.at.tzinfo is not None

    # --- Cancelling -------------------------------------------------------------------------------------------

    def test_a_resting_order_can_be_taken_back(self, desk: Desk) -> None:
        order = place(desk, limit="50")
        assert desk.broker.cancel(order.client_id) is True

    def test_what_is_filled_cannot_be_taken_back(self, desk: Desk) -> None:
        order = place(desk, limit="50")
        desk.fill(order, D(1))
        type(order).objects.filter(pk=order.pk).update(status="filled")
        assert desk.broker.cancel(order.client_id) is False

    def test_what_never_arrived_cannot_be_taken_back(self, desk: Desk) -> None:
        assert desk.broker.cancel(make(desk).client_id) is False

    def test_a_second_cancel_is_no_second_success(self, desk: Desk) -> None:
        order = place(desk, limit="50")
        assert desk.broker.cancel(order.client_id)
        type(order).objects.filter(pk=order.pk).update(status="cancelled")
        assert desk.broker.cancel(order.client_id) is False

    # --- Balances ---------------------------------------------------------------------------------------------

    def test_balances_are_exact_and_have_no_zeros(self, desk: Desk) -> None:
        held = desk.broker.balances()
        assert held and all(isinstance(amount, Decimal) and amount for amount in held.values())
        assert desk.account.currency in held


def unavailable(call: object) -> None:
    """The call gives no answer rather than an empty one."""
    assert callable(call)
    with pytest.raises(Unavailable):
        call()
