"""The coins, with Binance's filters as of 2024, and the paper account."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from assets.markets.universe import InstrumentSpec
from assets.trading.registry import AccountSpec

KEY = "crypto_lt"

_COIN = InstrumentSpec(
    symbol="-", base="-", quote="USDT", venue="binance", calendar="24x7", timeframe="1m",
    min_notional=Decimal("5"), fee_rate=Decimal("0.001"),
)  # fmt: skip

INSTRUMENTS = (
    replace(
        _COIN, symbol="BTCUSDT", base="BTC", name="Bitcoin", tick_size=Decimal("0.01"), lot_step=Decimal("0.00001"),
        min_quantity=Decimal("0.00001"), half_spread_bps=0.5, slippage_bps=0.5, demo_price=60000.0,
        demo_volatility=0.55, demo_correlation=0.9,
    ),
    replace(
        _COIN, symbol="ETHUSDT", base="ETH", name="Ether", tick_size=Decimal("0.01"), lot_step=Decimal("0.0001"),
        min_quantity=Decimal("0.0001"), half_spread_bps=0.5, slippage_bps=0.8, demo_price=3000.0,
        demo_volatility=0.65, demo_correlation=0.85,
    ),
    replace(
        _COIN, symbol="SOLUSDT", base="SOL", name="Solana", tick_size=Decimal("0.01"), lot_step=Decimal("0.001"),
        min_quantity=Decimal("0.001"), half_spread_bps=1.0, slippage_bps=1.5, demo_price=150.0,
        demo_volatility=0.9, demo_correlation=0.75,
    ),
    replace(
        _COIN, symbol="ADAUSDT", base="ADA", name="Cardano", tick_size=Decimal("0.0001"), lot_step=Decimal("0.1"),
        min_quantity=Decimal("0.1"), half_spread_bps=1.5, slippage_bps=2.0, demo_price=0.5,
        demo_volatility=0.8, demo_correlation=0.75,
    ),
)  # fmt: skip

ACCOUNT = AccountSpec(
    asset_type=KEY,
    currency="USDT",
    opening_balance=Decimal("100000"),
    max_order_notional=Decimal("50000"),
    max_position_ratio=0.6,
    max_orders_per_day=30,
    max_daily_loss_ratio=0.15,
    max_drawdown_ratio=0.60,
)
