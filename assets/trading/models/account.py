"""Trading accounts, positions and equity history."""

from __future__ import annotations

from decimal import Decimal

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from assets.markets.models import Instrument
from tradingsite.foundation.fields import ExactDecimalField


class Account(models.Model):
    """Money at one broker, traded by one asset type. `currency` is the one its equity is told in."""

    class Mode(models.TextChoices):
        PAPER = "paper", _("paper")
        LIVE = "live", _("live")

    class State(models.TextChoices):
        ACTIVE = "active", _("active")
        REDUCING = "reducing", _("reducing only")
        HALTED = "halted", _("halted")

    name = models.CharField(max_length=64, unique=True)
    asset_type = models.CharField(max_length=32, db_index=True)
    broker = models.CharField(max_length=32, default="paper")
    mode = models.CharField(max_length=8, choices=Mode, default=Mode.PAPER)
    state = models.CharField(max_length=12, choices=State, default=State.ACTIVE)
    currency = models.CharField(max_length=16)
    opening_balance = ExactDecimalField()
    allows_short = models.BooleanField(default=False)
    max_leverage = models.FloatField(default=1.0)
    max_order_notional = ExactDecimalField(default=Decimal(0))  # account currency, 0 = no bound of its own
    max_position_ratio = models.FloatField(default=1.0)  # |position value| / equity per instrument
    max_orders_per_minute = models.PositiveIntegerField(default=30)
    # Of what follows 0 is no limit; ratios are fractions of equity.
    max_orders_per_day = models.PositiveIntegerField(default=0)
    max_correlated_ratio = models.FloatField(default=0.0)
    max_daily_loss_ratio = models.FloatField(default=0.0)
    max_drawdown_ratio = models.FloatField(default=0.0)
    price_band_ratio = models.FloatField(default=0.0)
    allowed_symbols = models.JSONField(default=list)  # empty: every instrument of the asset type
    is_demo = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    reconciled_at = models.DateTimeField(null=True, blank=True)  # when the venue's books and ours last agreed
    balances_compared_at = models.DateTimeField(
        null=True, blank=True
    )  # they need a quiet moment, orders do not
    reconcile_pass = models.PositiveIntegerField(default=0)  # number of the pass that began last

    class Meta:
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(
                fields=("asset_type", "is_demo"),
                condition=Q(mode="paper", broker="paper"),  # at a venue "paper" means: not switched to live
                name="one_paper_account_per_asset_type",
            ),
        )

    def __str__(self) -> str:
        return self.name


class Position(models.Model):
    """Derived from fills, in the transaction that books them; a command rebuilds and compares it.

    `quantity` is signed; `cost` is what the open quantity cost in the quote currency (signed like quantity);
    `realised` and `fees` are in the quote currency. Average price = cost / quantity.
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="positions")
    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT, related_name="+")
    quantity = ExactDecimalField()
    cost = ExactDecimalField()
    realised = ExactDecimalField()
    fees = ExactDecimalField()
    opened_at = models.DateTimeField(null=True, blank=True)
    updated_at = models.DateTimeField()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("account", "instrument"), name="one_position_per_instrument"),
        )


class EquityPoint(models.Model):
    """Equity of an account at an instant, unrealised included, in the account's currency."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="equity_points")
    at = models.DateTimeField()
    equity = ExactDecimalField()
    cash = ExactDecimalField()
    unrealised = ExactDecimalField()
    exposure = ExactDecimalField(default=Decimal(0))  # gross
    peak = ExactDecimalField()  # the highest equity up to this point: drawdown needs no scan

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("account", "at"), name="one_equity_point_per_instant"),
        )
