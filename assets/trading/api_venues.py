"""Venues as JSON: accounts there (never a key), and where their books differ from ours."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from assets.trading.selectors import venues as reads
from assets.trading.services import reconciliation, venue_accounts
from tradingsite.foundation import clock
from tradingsite.foundation.api.params import choice, text
from tradingsite.foundation.api.views import ApiView, ListView, StrictSerializer, path_both
from tradingsite.foundation.roles import Role


class DiscrepancyList(ListView):
    """Differences between our books and the venues', newest first."""

    params = {"account": text(64), "status": choice(*reads.STATUSES)}
    answers = {"GET": (200, reads.Difference)}
    time_field = "first_seen_at"

    def rows(self) -> Any:
        return reads.discrepancies(**self.query)

    def item(self, row: Any) -> Any:
        return reads.item(row)


class ResolveBody(StrictSerializer):
    """`ignore` explains a difference (a reason is needed); `adopt` takes the venue's opening balance over."""

    action = serializers.ChoiceField(choices=("ignore", "adopt"))
    reason = serializers.CharField(max_length=200, required=False, default="", allow_blank=True)


class DiscrepancyResolve(ApiView):
    """What a person says about a difference."""

    required_role = {"POST": Role.TRADER}
    answers = {"POST": (200, reads.Difference)}
    bodies = {"POST": ResolveBody}

    def post(self, request: Request, pk: int) -> Response:
        body = self.body(ResolveBody)
        if body["action"] == "adopt":
            venue_accounts.adopt(pk, actor=self.actor, now=clock.now())
        else:
            reconciliation.ignore(pk, actor=self.actor, now=clock.now(), reason=body["reason"])
        return Response(reads.item_of(pk))


class VenueAccounts(ApiView):
    """Accounts at venues: mode, what the key may do, whether the books agree."""

    answers = {"GET": (200, reads.VenueAccounts)}

    def get(self, request: Request) -> Response:
        return Response(reads.VenueAccounts(accounts=reads.accounts()))


urlpatterns = [
    *path_both("discrepancies", DiscrepancyList.as_view(), "discrepancies"),
    *path_both("discrepancies/<int:pk>/resolve", DiscrepancyResolve.as_view(), "discrepancy-resolve"),
    *path_both("venue-accounts", VenueAccounts.as_view(), "venue-accounts"),
]
