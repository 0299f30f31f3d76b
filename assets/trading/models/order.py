"""Intents, orders and fills. An intent is committed before any broker hears of it."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from assets.markets.models import Instrument
from assets.trading.models.account import Account
from orchestrator.models import Run
from tradingsite.foundation.fields import ExactDecimalField


class Side(models.TextChoices):
    BUY = "buy", _("buy")
    SELL = "sell", _("sell")


class Intent(models.Model):
    """What a run wanted to do and why. Never changed. `key` = workflow, slot, instrument, side, sequence."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="intents")
    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT, related_name="+")
    run = models.ForeignKey(Run, null=True, on_delete=models.SET_NULL, related_name="intents")
    run_epoch = models.PositiveIntegerField(default=0)
    workflow_slug = models.CharField(max_length=64, blank=True)
    key = models.CharField(max_length=160, unique=True)
    side = models.CharField(max_length=4, choices=Side)
    quantity = ExactDecimalField()
    order_type = models.CharField(max_length=8, default="market")  # market, limit
    limit_price = ExactDecimalField(null=True, blank=True)
    reference_price = ExactDecimalField()  # what the decision saw
    reduces = models.BooleanField(default=False)  # only shrinks a position: passes while entries are paused
    reasons = models.JSONField(default=list)  # [{code, value, text params}]
    sizing = models.JSONField(default=dict)  # the formula with its numbers
    created_at = models.DateTimeField()
    valid_until = models.DateTimeField()


class Order(models.Model):
    """The life of one intent at the broker."""

    class Status(models.TextChoices):
        NEW = "new", _("new")
        DENIED = "denied", _("denied")
        SENDING = "sending", _("sending")
        ACCEPTED = "accepted", _("accepted")
        PARTIALLY_FILLED = "partially_filled", _("partially filled")
        FILLED = "filled", _("filled")
        CANCEL_PENDING = "cancel_pending", _("cancel pending")
        CANCELLED = "cancelled", _("cancelled")
        REJECTED = "rejected", _("rejected")
        EXPIRED = "expired", _("expired")
        UNKNOWN = "unknown", _("unknown")

    WORKING = (Status.ACCEPTED, Status.PARTIALLY_FILLED, Status.CANCEL_PENDING)

    intent = models.OneToOneField(Intent, on_delete=models.PROTECT, related_name="order")
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="orders")
    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT, related_name="+")
    client_id = models.CharField(max_length=36, unique=True)
    venue_id = models.CharField(max_length=64, blank=True)
    side = models.CharField(max_length=4, choices=Side)
    quantity = ExactDecimalField()
    filled_quantity = ExactDecimalField()
    status = models.CharField(max_length=18, choices=Status, default=Status.NEW)
    status_code = models.CharField(max_length=64, blank=True)  # denial, rejection or expiry code
    status_detail = models.JSONField(default=dict)  # limit, was ...
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)
    accepted_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-created_at", "-pk")
        indexes = (
            models.Index(fields=("status", "account"), name="order_working"),
            models.Index(fields=("-created_at", "-id"), name="order_timeline"),
            models.Index(fields=("-finished_at",), name="order_finished"),
        )
        constraints = (
            models.UniqueConstraint(
                fields=("account", "venue_id"), condition=~Q(venue_id=""), name="one_order_per_venue_id"
            ),
        )


class OrderEvent(models.Model):
    """One row per transition of an order."""

    row = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="events")
    event = models.CharField(max_length=24)
    from_status = models.CharField(max_length=18)
    to_status = models.CharField(max_length=18)
    at = models.DateTimeField()
    detail = models.JSONField(default=dict)


class Fill(models.Model):
    """One execution. The venue's trade id is booked exactly once."""

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="fills")
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="fills")
    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT, related_name="+")
    trade_id = models.CharField(max_length=80)
    side = models.CharField(max_length=4, choices=Side)
    quantity = ExactDecimalField()
    price = ExactDecimalField()
    fee = ExactDecimalField()
    fee_asset = models.CharField(max_length=16)
    realised = ExactDecimalField()  # realised by this fill, quote currency, before fees
    slippage_bps = models.FloatField(null=True, blank=True)  # against the intent's reference price, signed
    at = models.DateTimeField()
    booked_at = models.DateTimeField()

    class Meta:
        ordering = ("-at", "-pk")
        constraints = (models.UniqueConstraint(fields=("account", "trade_id"), name="one_booking_per_trade"),)
        indexes = (
            models.Index(fields=("instrument", "at"), name="fill_chart"),
            models.Index(fields=("-at", "-id"), name="fill_timeline"),
        )
