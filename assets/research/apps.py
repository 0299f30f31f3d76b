"""App declaration of assets.research."""

from django.apps import AppConfig


class ResearchConfig(AppConfig):
    name = "assets.research"
    label = "research"
    verbose_name = "Research"

    def ready(self) -> None:
        from assets.research import plugin

        plugin.register()
