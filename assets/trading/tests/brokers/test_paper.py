"""The paper broker passes the suite."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from assets.trading.brokers.paper import PaperBroker
from assets.trading.models import Order
from assets.trading.services import fills
from assets.trading.tests import kit
from assets.trading.tests.brokers.suite import BrokerSuite

pytestmark = pytest.mark.django_db


class PaperDesk:
    """Our own rows are the book."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.instrument = kit.instrument()
        self.account = kit.account()
        self.broker = PaperBroker(self.account)

    def fill(self, order: Order, quantity: Decimal) -> None:
        order.refresh_from_db()
        number = order.fills.count()
        fills.book(
            order, f"{order.client_id}-{number}", quantity, Decimal(50), Decimal("0.01"), "BBB", self.now
        )

    def truth(self, what: str, client_id: str) -> int:
        return Order.objects.filter(client_id=client_id).exclude(accepted_at=None).count()


@pytest.fixture
def desk(at: datetime, db: Any) -> PaperDesk:
    return PaperDesk(at)


class TestPaper(BrokerSuite):
    """All of it."""
