"""App declaration of assets.meme_coins."""

from django.apps import AppConfig


class MemeCoinsConfig(AppConfig):
    name = "assets.meme_coins"
    label = "meme_coins"
    verbose_name = "Meme coins"

    def ready(self) -> None:
        from assets.meme_coins import plugin

        plugin.register()
