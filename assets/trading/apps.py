"""App declaration of assets.trading."""

from django.apps import AppConfig


class TradingConfig(AppConfig):
    name = "assets.trading"
    label = "trading"
    verbose_name = "Trading"

    def ready(self) -> None:
        from assets.trading import alert_texts, health, invariants
        from assets.trading.services import equity_history, flattening, risk_history

        alert_texts.register()
        invariants.register()
        health.register()
        equity_history.register()
        risk_history.register()
        flattening.register()
