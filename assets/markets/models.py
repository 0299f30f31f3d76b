"""Tables of market data. Prices of candles are float64: they are measurements, not money (money is trading's).

A float64 keeps 15 significant digits, which `Decimal(repr(price))` returns unchanged; no venue quotes more.
"""

from __future__ import annotations

from datetime import UTC, datetime

from django.db import models
from django.utils.translation import gettext_lazy as _

from tradingsite.foundation.fields import ExactDecimalField


class Instrument(models.Model):
    """Something that can be traded, with the venue's filters."""

    symbol = models.CharField(max_length=32, unique=True)  # BTCUSDT, EURUSD, SPY; demo ones end in .DEMO
    asset_type = models.CharField(max_length=32, db_index=True)
    name = models.CharField(max_length=120, blank=True)
    venue = models.CharField(max_length=32)  # binance, fxcm, alpaca, simulated
    base = models.CharField(max_length=16)
    quote = models.CharField(max_length=16)
    calendar = models.CharField(max_length=16)  # 24x7, fx-week, XNYS
    timeframe = models.CharField(max_length=4)  # the finest one its feed brings: 1m, 15m, 1d
    tick_size = ExactDecimalField()
    lot_step = ExactDecimalField()
    min_quantity = ExactDecimalField()
    min_notional = ExactDecimalField()
    fee_rate = ExactDecimalField()  # taker, fraction of notional
    half_spread_bps = models.FloatField()  # used where no bid/ask candles are stored; never 0
    slippage_bps = models.FloatField()  # never 0 by default
    is_active = models.BooleanField(default=True)
    is_demo = models.BooleanField(default=False, db_index=True)

    class Meta:
        ordering = ("asset_type", "symbol")

    def __str__(self) -> str:
        return self.symbol


class PriceSide(models.IntegerChoices):
    TRADE = 0, _("trade")
    BID = 1, _("bid")
    ASK = 2, _("ask")


class Candle(models.Model):
    """One closed bar. `open_ts` is the bar's opening time in epoch seconds UTC."""

    # No index of its own: the unique constraint begins with it, and a second one would slow every import.
    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT, related_name="+", db_index=False)
    timeframe = models.CharField(max_length=4)
    side = models.PositiveSmallIntegerField(choices=PriceSide, default=PriceSide.TRADE)
    open_ts = models.BigIntegerField()
    open = models.FloatField()
    high = models.FloatField()
    low = models.FloatField()
    close = models.FloatField()
    volume = models.FloatField()

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("instrument", "timeframe", "side", "open_ts"), name="one_candle_per_bar"
            ),
        )

    @property
    def open_at(self) -> datetime:
        return datetime.fromtimestamp(self.open_ts, UTC)


class RejectedCandle(models.Model):
    """Quarantine: a bar the quality gate refused, as it came, with the reason."""

    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT, related_name="+")
    timeframe = models.CharField(max_length=4)
    side = models.PositiveSmallIntegerField(choices=PriceSide, default=PriceSide.TRADE)
    reason = models.CharField(max_length=24)  # see quality.Reason
    open_ts = models.BigIntegerField(null=True, blank=True)  # where the bar had a readable time
    raw = models.TextField()
    source = models.CharField(max_length=200)
    line = models.PositiveIntegerField(null=True, blank=True)
    received_at = models.DateTimeField()

    class Meta:
        indexes = (models.Index(fields=("instrument", "-received_at"), name="rejected_recent"),)
        constraints = (
            models.UniqueConstraint(
                fields=("instrument", "timeframe", "side", "reason", "raw"), name="one_rejection_per_bar"
            ),
        )


class Quote(models.Model):
    """Newest prices of an instrument, from its feed. `at` is the venue's time, `received_at` ours."""

    instrument = models.OneToOneField(
        Instrument, on_delete=models.CASCADE, primary_key=True, related_name="latest_quote"
    )
    last = models.FloatField()
    bid = models.FloatField(null=True, blank=True)
    ask = models.FloatField(null=True, blank=True)
    change_24h = models.FloatField(null=True, blank=True)  # ratio
    at = models.DateTimeField()
    received_at = models.DateTimeField()
    last_bar_ts = models.BigIntegerField(null=True, blank=True)  # open time of the newest closed bar


class CalendarDay(models.Model):
    """A trading session of an exchange, taken from the calendar library at set-up and kept as data."""

    calendar = models.CharField(max_length=16)
    day = models.DateField()
    open_at = models.DateTimeField()
    close_at = models.DateTimeField()
    is_half_day = models.BooleanField(default=False)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("calendar", "day"), name="one_session_per_day"),)
        indexes = (models.Index(fields=("calendar", "close_at"), name="calendar_close"),)


class RateBudget(models.Model):
    """The request budget of a venue, shared by all processes. Weights per window as the venue counts them."""

    venue = models.CharField(max_length=32, primary_key=True)
    window_started_at = models.DateTimeField()
    window_s = models.PositiveIntegerField()
    limit = models.PositiveIntegerField()
    used = models.PositiveIntegerField(default=0)
    blocked_until = models.DateTimeField(null=True, blank=True)


class FeedState(models.Model):
    """How one instrument's feed stands."""

    instrument = models.OneToOneField(
        Instrument, on_delete=models.CASCADE, primary_key=True, related_name="feed_state"
    )
    feed = models.CharField(max_length=16)
    last_ok_at = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=200, blank=True)
    last_error_at = models.DateTimeField(null=True, blank=True)
    accepted_count = models.PositiveBigIntegerField(default=0)
    rejected_count = models.PositiveBigIntegerField(default=0)
