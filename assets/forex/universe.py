"""The pairs, in lots of a thousand, and the paper account."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from assets.markets.universe import InstrumentSpec
from assets.quant.protections import Rules
from assets.trading.registry import AccountSpec

KEY = "forex"

_PAIR = InstrumentSpec(
    symbol="-", base="-", quote="-", venue="fxcm", calendar="fx-week", timeframe="1m", lot_step=Decimal("1000"),
    min_quantity=Decimal("1000"), min_notional=Decimal("1"), fee_rate=Decimal("0.00004"),
)  # fmt: skip

INSTRUMENTS = (
    replace(
        _PAIR, symbol="EURUSD", base="EUR", quote="USD", name="Euro / US dollar", tick_size=Decimal("0.00001"),
        half_spread_bps=0.5, slippage_bps=0.2, demo_price=1.10, demo_volatility=0.08, demo_correlation=0.5,
    ),
    replace(
        _PAIR, symbol="USDJPY", base="USD", quote="JPY", name="US dollar / yen", tick_size=Decimal("0.001"),
        half_spread_bps=0.6, slippage_bps=0.2, demo_price=150.0, demo_volatility=0.10, demo_correlation=-0.3,
    ),
    replace(
        _PAIR, symbol="EURGBP", base="EUR", quote="GBP", name="Euro / pound", tick_size=Decimal("0.00001"),
        half_spread_bps=0.8, slippage_bps=0.3, demo_price=0.86, demo_volatility=0.06, demo_correlation=0.1,
    ),
    replace(
        _PAIR, symbol="AUDUSD", base="AUD", quote="USD", name="Australian / US dollar", tick_size=Decimal("0.00001"),
        half_spread_bps=0.8, slippage_bps=0.3, demo_price=0.66, demo_volatility=0.10, demo_correlation=0.5,
    ),
    replace(
        _PAIR, symbol="NZDUSD", base="NZD", quote="USD", name="New Zealand / US dollar", tick_size=Decimal("0.00001"),
        half_spread_bps=1.0, slippage_bps=0.3, demo_price=0.61, demo_volatility=0.10, demo_correlation=0.5,
    ),
)  # fmt: skip

ACCOUNT = AccountSpec(
    asset_type=KEY,
    currency="USD",
    opening_balance=Decimal("100000"),
    allows_short=True,
    max_leverage=5.0,
    max_position_ratio=5.0,
    max_orders_per_day=60,
    max_correlated_ratio=1.5,
    max_daily_loss_ratio=0.02,
    max_drawdown_ratio=0.15,
    price_band_ratio=0.01,
    protections=Rules(
        cooldown_s=15 * 60, stops=4, stops_within_s=4 * 3600, stops_lock_s=4 * 3600, low_trades=3, low_gain=-0.01,
        low_within_s=12 * 3600, low_lock_s=4 * 3600,
    ),
)  # fmt: skip
