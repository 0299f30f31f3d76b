"""The paper venue. Its book is our own order rows: what is accepted rests there until `services.matching`
fills it.

It checks the same filters a real venue checks and answers the same three ways, so nothing above knows it is
paper.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from django.db.models import QuerySet

from assets.trading.brokers.base import (
    Accepted,
    Capabilities,
    OrderRequest,
    Rejected,
    Unknown,
    VenueOrder,
    VenueTrade,
    filter_failure,
)
from assets.trading.models import Account, Order
from assets.trading.selectors import valuation
from assets.trading.states import WORKING
from tradingsite.foundation import clock

CAPABILITIES = Capabilities(
    order_types=frozenset({"market", "limit"}),
    supports_lookup=True,
    # Nothing is in flight: a call has happened or not. The margin covers a process that is only slow.
    refuses_stale=True,
    quarantine=timedelta(seconds=6),
    max_client_id=36,
    own_book=True,
)


class PaperBroker:
    """One account at the paper venue."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.capabilities = CAPABILITIES

    def place(self, request: OrderRequest) -> Accepted | Rejected | Unknown:
        """Accept what passes the venue's filters. The caller's order row becomes the book entry."""
        code = filter_failure(request)
        if code:
            return Rejected(code=code)
        return Accepted(venue_id=f"paper-{request.client_id}", at=clock.now())

    def cancel(self, client_id: str) -> bool:
        """A resting order can always be taken back at once."""
        return self._rows().filter(client_id=client_id, status__in=WORKING).exists()

    def fetch_order(self, client_id: str) -> VenueOrder | None:
        """None until the order was accepted: an order that is new, sending or unknown never reached the book."""
        order = self._rows().filter(client_id=client_id).exclude(accepted_at=None).first()
        return None if order is None else self._as_venue_order(order)

    def open_orders(self) -> tuple[VenueOrder, ...]:
        return tuple(self._as_venue_order(order) for order in self._rows().filter(status__in=WORKING))

    def balances(self) -> dict[str, Decimal]:
        """The ledger itself: paper money exists nowhere else."""
        return {asset: amount for asset, amount in valuation.cash_balances(self.account.pk).items() if amount}

    def _rows(self) -> QuerySet[Order]:
        return Order.objects.filter(account=self.account).select_related("instrument")

    @staticmethod
    def _as_venue_order(order: Order) -> VenueOrder:
        status = "open" if order.status in WORKING else str(order.status)
        trades = tuple(
            VenueTrade(
                trade_id=fill.trade_id,
                quantity=fill.quantity,
                price=fill.price,
                fee=fill.fee,
                fee_asset=fill.fee_asset,
                at=fill.at,
            )  # fmt: skip
            for fill in order.fills.order_by("at", "pk")
        )
        assert order.accepted_at is not None
        return VenueOrder(
            client_id=order.client_id, venue_id=order.venue_id, symbol=order.instrument.symbol, status=status,
            quantity=order.quantity, filled_quantity=order.filled_quantity, accepted_at=order.accepted_at,
            trades=trades,
        )  # fmt: skip
