"""A venue in a file: an append-only truth log outside our database, with the manners of a real one.

VENUE_FILE names the log, VENUE_MODE how it behaves: ok, cut (accepts, then the line is cut), drop (the line is cut before),
hold (accepts, then never answers), reject.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from assets.trading.brokers.base import (
    Accepted,
    Capabilities,
    OrderRequest,
    Rejected,
    Unknown,
    VenueOrder,
    VenueTrade,
)
from assets.trading.models import Account
from tradingsite.foundation import clock

CAPABILITIES = Capabilities(
    order_types=frozenset({"market", "limit"}), supports_lookup=True, refuses_stale=True,
    quarantine=timedelta(seconds=6), max_client_id=36,
)  # fmt: skip


def truth(path: Path) -> list[dict[str, Any]]:
    """Everything the venue ever accepted."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


class FileVenue:
    """Fills market orders at once, at 100, when it accepts them."""

    def __init__(self, account: Account) -> None:
        self.capabilities = CAPABILITIES
        self.path = Path(os.environ["VENUE_FILE"])
        self.mode = os.environ.get("VENUE_MODE", "ok")

    def place(self, request: OrderRequest) -> Accepted | Rejected | Unknown:
        if self.mode == "reject":
            return Rejected(code="insufficient_balance")
        if self.mode == "drop":
            raise ConnectionError("cut before the request arrived")
        venue_id = self._accept(request)
        if self.mode == "hold":
            time.sleep(60)
        if self.mode == "cut":
            raise ConnectionError("cut after the request arrived")
        return Accepted(venue_id=venue_id, at=clock.now())

    def _accept(self, request: OrderRequest) -> str:
        with self.path.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            venue_id = f"V{len(file.readlines()) + 1}"
            row = {
                "client_id": request.client_id, "venue_id": venue_id, "symbol": request.symbol, "side": request.side,
                "quantity": str(request.quantity), "at": clock.now().isoformat(),
            }  # fmt: skip
            file.write(json.dumps(row) + "\n")
            file.flush()
            os.fsync(file.fileno())
        return venue_id

    def cancel(self, client_id: str) -> bool:
        return False

    def fetch_order(self, client_id: str) -> VenueOrder | None:
        for row in truth(self.path):
            if row["client_id"] == client_id:
                quantity, at = Decimal(row["quantity"]), clock.now()
                trade = VenueTrade(
                    trade_id=f"T-{row['venue_id']}", quantity=quantity, price=Decimal(100), fee=quantity / 10,
                    fee_asset="BBB", at=at,
                )  # fmt: skip
                return VenueOrder(
                    client_id=client_id, venue_id=row["venue_id"], symbol=row["symbol"], status="filled",
                    quantity=quantity, filled_quantity=quantity, accepted_at=at, trades=(trade,),
                )  # fmt: skip
        return None

    def open_orders(self) -> tuple[VenueOrder, ...]:
        return ()

    def balances(self) -> dict[str, Decimal]:
        held: dict[str, Decimal] = {}
        for row in truth(self.path):
            quantity = Decimal(row["quantity"])
            held["AAA"] = held.get("AAA", Decimal(0)) + (quantity if row["side"] == "buy" else -quantity)
        return held
