"""Addresses of the pages; each app brings its own."""

from django.urls import URLPattern, URLResolver, include, path

from tradingsite.pages import accounts, assets, data, frame, help, notices, overview, preferences, setup

app_name = "pages"

urlpatterns: list[URLPattern | URLResolver] = [
    path("", overview.overview, name="overview"),
    path("login/", accounts.login, name="login"),
    path("logout/", accounts.logout, name="logout"),
    path("account/password/", accounts.password, name="password"),
    path("setup/", setup.administrator, name="setup"),
    path("setup/look/", setup.look_and_time, name="setup-look"),
    path("setup/start/", setup.start, name="setup-start"),
    path("settings/profile/", preferences.preferences, name="preferences"),
    path("settings/data/", data.data, name="data"),
    path("settings/look/", preferences.set_look, name="set-look"),
    path("assets/<slug:asset_type>/", assets.asset, name="asset"),
    path("alerts/", notices.alerts, name="alerts"),
    path("alerts/<int:pk>/acknowledge/", notices.alert_acknowledge, name="alert-acknowledge"),
    path("audit/", notices.audit_log, name="audit"),
    path("audit/check/", notices.audit_check, name="audit-check"),
    path("help/", help.help_page, name="help"),
    path("about/", help.about, name="about"),
    path("ui/frame/status/", frame.status, name="frame-status"),
    path("ui/overview/top/", overview.top, name="overview-top"),
    path("ui/overview/assets/", overview.assets_part, name="overview-assets"),
    path("ui/overview/activity/", overview.activity, name="overview-activity"),
    path("ui/assets/<slug:asset_type>/header/", assets.header, name="asset-header"),
    path("ui/alerts/rows/", notices.alert_rows, name="alert-rows"),
    path("", include("orchestrator.page_urls")),
    path("", include("assets.markets.page_urls")),
    path("", include("assets.trading.page_urls")),
]
