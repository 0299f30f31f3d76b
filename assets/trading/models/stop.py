"""Where an open position is given up."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from assets.trading.models.account import Position


class ProtectiveStop(models.Model):
    """The stop of one position for as long as it is open. The level only tightens; prices in the quote currency.

    Levels are statistics, not money: floats. `bar_ts` is the close of the newest bar that was looked at.
    """

    class Status(models.TextChoices):
        ACTIVE = "active", _("watched")
        HIT = "hit", _("hit, being closed")
        CLOSED = "closed", _("closed")

    position = models.ForeignKey(Position, on_delete=models.PROTECT, related_name="stops")
    status = models.CharField(max_length=8, choices=Status, default=Status.ACTIVE)
    acts = models.BooleanField(default=True)  # False: it tells a person and leaves the position alone
    is_long = models.BooleanField()
    entry = models.FloatField()
    risk = models.FloatField()  # first distance as a fraction of the entry
    best = models.FloatField()  # best price since
    level = models.FloatField()
    cause = models.CharField(max_length=12)  # initial, break_even, trailing, age
    opened_at = models.DateTimeField()
    placed_at = models.DateTimeField()
    moved_at = models.DateTimeField()
    bar_ts = models.BigIntegerField()
    hit_at = models.DateTimeField(null=True, blank=True)
    hit_price = models.FloatField(null=True, blank=True)
    next_try_at = models.DateTimeField(null=True, blank=True)  # an exit that was refused is wanted again then
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-placed_at", "-pk")
        constraints = (
            models.UniqueConstraint(
                fields=("position",), condition=~Q(status="closed"), name="one_open_stop_per_position"
            ),
        )
