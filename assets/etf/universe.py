"""The funds, whole shares, and the paper account."""

from __future__ import annotations

from decimal import Decimal

from assets.markets.universe import InstrumentSpec
from assets.trading.registry import AccountSpec

KEY = "etf"

# symbol, name, half spread in basis points, simulated price, simulated volatility, correlation with the market
_FUNDS: tuple[tuple[str, str, float, float, float, float], ...] = (
    ("SPY", "US large companies", 0.3, 500.0, 0.16, 0.9),
    ("QQQ", "US technology", 0.3, 430.0, 0.20, 0.85),
    ("IWM", "US small companies", 0.5, 200.0, 0.22, 0.8),
    ("EFA", "Developed markets without the US", 0.7, 78.0, 0.16, 0.8),
    ("EEM", "Emerging markets", 1.2, 41.0, 0.19, 0.7),
    ("AGG", "US bonds", 0.5, 98.0, 0.06, 0.1),
    ("TLT", "US treasuries, 20 years and more", 0.6, 94.0, 0.15, -0.2),
    ("IEF", "US treasuries, 7 to 10 years", 0.6, 94.0, 0.07, -0.1),
    ("LQD", "US company bonds", 0.6, 108.0, 0.08, 0.3),
    ("HYG", "US high-yield bonds", 0.7, 77.0, 0.09, 0.6),
    ("TIP", "US inflation-linked bonds", 0.7, 107.0, 0.06, 0.1),
    ("GLD", "Gold", 0.4, 215.0, 0.15, 0.1),
    ("DBC", "Commodities", 2.0, 23.0, 0.18, 0.3),
    ("VNQ", "US real estate", 0.7, 84.0, 0.20, 0.7),
    ("BIL", "US treasury bills", 0.6, 91.5, 0.005, 0.0),
)

INSTRUMENTS = tuple(
    InstrumentSpec(
        symbol=symbol, base=symbol, quote="USD", name=name, venue="alpaca", calendar="XNYS", timeframe="1m",
        tick_size=Decimal("0.01"), lot_step=Decimal("1"), min_quantity=Decimal("1"), min_notional=Decimal("1"),
        fee_rate=Decimal("0.00001"), half_spread_bps=half_spread, slippage_bps=0.5, demo_price=price,
        demo_volatility=volatility, demo_correlation=correlation,
    )
    for symbol, name, half_spread, price, volatility, correlation in _FUNDS
)  # fmt: skip

ACCOUNT = AccountSpec(
    asset_type=KEY,
    currency="USD",
    opening_balance=Decimal("100000"),
    max_position_ratio=0.5,
    max_orders_per_minute=60,
    max_orders_per_day=120,
    max_daily_loss_ratio=0.06,
    max_drawdown_ratio=0.35,
)
