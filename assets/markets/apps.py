"""App declaration of assets.markets."""

from django.apps import AppConfig


class MarketsConfig(AppConfig):
    name = "assets.markets"
    label = "markets"
    verbose_name = "Markets"

    def ready(self) -> None:
        from assets.markets import health, maintenance

        maintenance.register()
        health.register()
