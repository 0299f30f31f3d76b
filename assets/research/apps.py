"""App declaration of assets.research."""

from django.apps import AppConfig


class ResearchConfig(AppConfig):
    name = "assets.research"
    label = "research"
    verbose_name = "Research"
