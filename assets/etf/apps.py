"""App declaration of assets.etf."""

from django.apps import AppConfig


class EtfConfig(AppConfig):
    name = "assets.etf"
    label = "etf"
    verbose_name = "ETF"

    def ready(self) -> None:
        from assets.etf import plugin

        plugin.register()
