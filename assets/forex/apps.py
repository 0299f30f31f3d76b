"""App declaration of assets.forex."""

from django.apps import AppConfig


class ForexConfig(AppConfig):
    name = "assets.forex"
    label = "forex"
    verbose_name = "Forex"

    def ready(self) -> None:
        from assets.forex import plugin

        plugin.register()
