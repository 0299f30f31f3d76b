"""The coins, with Binance's filters as of 2024, and the paper account."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from assets.markets.universe import InstrumentSpec
from assets.quant.protections import Rules
from assets.trading.registry import AccountSpec

KEY = "meme_coins"

_COIN = InstrumentSpec(
    symbol="-", base="-", quote="USDT", venue="binance", calendar="24x7", timeframe="1m", lot_step=Decimal("1"),
    min_quantity=Decimal("1"), min_notional=Decimal("1"), fee_rate=Decimal("0.001"),
)  # fmt: skip

INSTRUMENTS = (
    replace(
        _COIN, symbol="DOGEUSDT", base="DOGE", name="Dogecoin", tick_size=Decimal("0.00001"),
        half_spread_bps=1.0, slippage_bps=2.0, demo_price=0.12, demo_volatility=1.0, demo_correlation=0.6,
    ),
    replace(
        _COIN, symbol="SHIBUSDT", base="SHIB", name="Shiba Inu", tick_size=Decimal("0.00000001"),
        half_spread_bps=2.0, slippage_bps=3.0, demo_price=0.000025, demo_volatility=1.1, demo_correlation=0.6,
    ),
    replace(
        _COIN, symbol="PEPEUSDT", base="PEPE", name="Pepe", tick_size=Decimal("0.00000001"),
        half_spread_bps=3.0, slippage_bps=5.0, demo_price=0.000008, demo_volatility=1.4, demo_correlation=0.5,
    ),
)  # fmt: skip

ACCOUNT = AccountSpec(
    asset_type=KEY,
    currency="USDT",
    opening_balance=Decimal("10000"),
    max_order_notional=Decimal("5000"),
    max_position_ratio=0.5,
    max_orders_per_day=120,
    max_correlated_ratio=0.8,
    max_daily_loss_ratio=0.05,
    max_drawdown_ratio=0.30,
    protections=Rules(
        cooldown_s=5 * 60, stops=4, stops_within_s=3600, stops_lock_s=2 * 3600, low_trades=3, low_gain=-0.05,
        low_within_s=6 * 3600, low_lock_s=2 * 3600,
    ),
)  # fmt: skip
