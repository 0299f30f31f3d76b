"""Tables of money. Only services write them; ledger lines and fills are never changed."""

from assets.trading.models.account import Account, EquityPoint, Position
from assets.trading.models.ledger import Journal, JournalLine, LedgerAccount
from assets.trading.models.live import LiveApproval, WorkflowApproval
from assets.trading.models.order import Fill, Intent, Order, OrderEvent
from assets.trading.models.risk import Flattening, LimitChange, ProtectionRelease, RiskPoint
from assets.trading.models.stop import ProtectiveStop
from assets.trading.models.venue import Discrepancy, VenueKey

__all__ = [
    "Account",
    "Discrepancy",
    "EquityPoint",
    "Fill",
    "Flattening",
    "Intent",
    "Journal",
    "JournalLine",
    "LedgerAccount",
    "LimitChange",
    "LiveApproval",
    "Order",
    "OrderEvent",
    "Position",
    "ProtectionRelease",
    "ProtectiveStop",
    "RiskPoint",
    "VenueKey",
    "WorkflowApproval",
]
