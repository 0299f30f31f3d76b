"""Shows times in the reader's time zone."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone

from tradingsite.pages import look


class ReaderTimeZone:
    """Activates the reader's zone for the request; stored and transported time stays UTC."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        name = look.of(request).time_zone
        if name == "UTC":
            return self.get_response(request)
        with timezone.override(name):
            return self.get_response(request)
