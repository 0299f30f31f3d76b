"""The channels of a person, and putting an alert off. Targets are set on the page, with the password, and never read."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from tradingsite.foundation import alerts, clock
from tradingsite.foundation import selectors as foundation
from tradingsite.foundation.api.body import Whole
from tradingsite.foundation.api.views import ApiView, ListView, StrictSerializer, path_both
from tradingsite.foundation.notify import selectors


class ChannelList(ListView):
    """Notification channels, without their targets: your own, an administrator's all."""

    answers = {"GET": (200, selectors.ChannelRow)}

    def rows(self) -> Any:
        return selectors.visible_channels(self.request.user)

    def item(self, row: Any) -> Any:
        return selectors.channel_row(row)


class SnoozeBody(StrictSerializer):
    """For how long to leave people alone; 0 ends it."""

    minutes = Whole(min_value=0, max_value=alerts.LONGEST_SNOOZE_MIN)


class AlertSnooze(ApiView):
    """Put an alert off: it is not delivered until then, unless it gets worse."""

    answers = {"POST": (200, foundation.AlertRow)}
    bodies = {"POST": SnoozeBody}

    def post(self, request: Request, pk: int) -> Response:
        body = self.body(SnoozeBody)
        alerts.snooze(pk, body["minutes"], self.actor, clock.now())
        return Response(foundation.alert(pk))


urlpatterns = [
    *path_both("notifications", ChannelList.as_view(), "notifications"),
    *path_both("alerts/<int:pk>/snooze", AlertSnooze.as_view(), "alert-snooze"),
]
