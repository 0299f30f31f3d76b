"""App declaration of assets.crypto_lt."""

from django.apps import AppConfig


class CryptoLtConfig(AppConfig):
    name = "assets.crypto_lt"
    label = "crypto_lt"
    verbose_name = "Crypto long term"

    def ready(self) -> None:
        from assets.crypto_lt import plugin

        plugin.register()
