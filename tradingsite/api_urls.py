"""Addresses of the JSON API; each app brings its own. Both slash forms answer: a redirect would lose a POST's body."""

from django.urls import URLPattern, URLResolver, include, path, re_path

from tradingsite.foundation import api_resources
from tradingsite.foundation.api import schema  # noqa: F401 - registers the authentication schemes for OpenAPI

app_name = "api"

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("orchestrator.api")),
    path("", include("assets.markets.api")),
    path("", include("assets.trading.api")),
    path("", include("assets.trading.api_venues")),
    path("", include("tradingsite.foundation.notify.api")),
    path("", include("tradingsite.foundation.api_resources")),
    path("docs/", api_resources.docs, name="docs"),
    path("docs", api_resources.docs),
    re_path(r"^.*$", api_resources.unknown, name="unknown"),
]
