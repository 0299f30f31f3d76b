"""Tables only tests know. Their app label is no installed app, so migrations never see them."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from tradingsite.foundation.fields import ExactDecimalField
from tradingsite.foundation.transitions import StatusEvent


class Amount(models.Model):
    name = models.CharField(max_length=20, default="")
    value = ExactDecimalField(null=True)
    other = ExactDecimalField(default=0)
    small = ExactDecimalField(max_digits=6, decimal_places=2, default=0)

    class Meta:
        app_label = "foundation_tests"
        constraints = [models.CheckConstraint(condition=Q(small__gte=0), name="amount_small_positive")]


class Parcel(models.Model):
    status = models.CharField(max_length=20, default="new")
    weight = models.IntegerField(default=0)
    created_at = models.DateTimeField(null=True)
    note = models.CharField(max_length=50, default="")

    class Meta:
        app_label = "foundation_tests"


class ParcelEvent(StatusEvent):
    parcel = models.ForeignKey(Parcel, models.CASCADE, related_name="events")

    class Meta:
        app_label = "foundation_tests"


MODELS = (Amount, Parcel, ParcelEvent)
