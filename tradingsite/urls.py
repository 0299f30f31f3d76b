"""All addresses of the site: pages at the root, JSON under api/, administration at a path of its own."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path

from tradingsite.foundation import api_resources
from tradingsite.pages import accounts

handler400 = "tradingsite.foundation.handlers.handler400"
handler403 = "tradingsite.foundation.handlers.handler403"
handler404 = "tradingsite.foundation.handlers.handler404"
handler500 = "tradingsite.foundation.handlers.handler500"

urlpatterns = [
    path("", include("tradingsite.pages.urls")),
    path("api/", include("tradingsite.api_urls")),
    *api_resources.probes,
    path(f"{settings.ADMIN_PATH}login/", accounts.admin_login),
    path(settings.ADMIN_PATH, admin.site.urls),
]
