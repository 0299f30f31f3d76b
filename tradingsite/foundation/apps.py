from __future__ import annotations

from django.apps import AppConfig
from django.db import connections
from django.db.backends.signals import connection_created


class FoundationConfig(AppConfig):
    name = "tradingsite.foundation"
    label = "foundation"
    verbose_name = "Foundation"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import alert_texts, clock, fields, logging, money, sessions  # noqa: F401  (alert_texts registers itself)

        money.install_context()
        logging.install()
        sessions.install()
        connection_created.connect(fields.on_connection_created, dispatch_uid="foundation.exact_decimals")
        connection_created.connect(clock.on_connection_created, dispatch_uid="foundation.clock")
        for connection in connections.all(initialized_only=True):
            # Opened while apps were loading, before we listened.
            if connection.connection is not None:
                fields.on_connection_created(self, connection)
