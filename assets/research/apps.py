"""App declaration of assets.research."""

from django.apps import AppConfig


class ResearchConfig(AppConfig):
    name = "assets.research"
    label = "research"
    verbose_name = "Research"

    def ready(self) -> None:
        from assets.research import plugin, words
        from assets.trading import reasons
        from tradingsite.foundation import said

        plugin.register()
        said.register(names=words.NAMES, words=words.WORDS)
        said.register_sentence("reasons", reasons.sentence)
