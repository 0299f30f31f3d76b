"""The site itself as an app: it owns management commands, static files and translations."""

from django.apps import AppConfig


class SiteConfig(AppConfig):
    name = "tradingsite"
    label = "tradingsite"
    verbose_name = "Trading site"

    def ready(self) -> None:
        from tradingsite import checks  # noqa: F401  (registers the system checks)
