"""Addresses of the trading pages; included by the site."""

from django.urls import path

from assets.trading import (
    exports,
    pages,
    pages_brokers,
    pages_gains,
    pages_live,
    pages_reconciliation,
    pages_risk,
    pages_ticket,
)

urlpatterns = [
    path("trading/positions/", pages.positions, name="positions"),
    path("trading/orders/", pages.orders, name="orders"),
    path("trading/orders.csv", exports.orders, name="orders-csv"),
    path("trading/trades.csv", exports.trades, name="trades-csv"),
    path("trading/lots.csv", exports.lots, name="lots-csv"),
    path("trading/gains/", pages_gains.gains, name="gains"),
    path("trading/orders/<int:pk>/", pages.order, name="order"),
    path("trading/trades/", pages.trades, name="trades"),
    path("instruments/<int:pk>/order/", pages_ticket.order_ticket, name="ticket"),
    path("ui/instruments/<int:pk>/order/preview/", pages_ticket.preview, name="ticket-preview"),
    path("trading/orders/<int:pk>/cancel/", pages_ticket.cancel, name="order-cancel"),
    path("trading/reconciliation/", pages_reconciliation.inbox, name="reconciliation"),
    path(
        "trading/reconciliation/<int:pk>/resolve/", pages_reconciliation.resolve, name="discrepancy-resolve"
    ),
    path("settings/brokers/", pages_brokers.brokers, name="brokers"),
    path("settings/brokers/new/", pages_brokers.create, name="broker-new"),
    path("settings/brokers/<int:pk>/key/", pages_brokers.key, name="broker-key"),
    path("settings/brokers/<int:pk>/key/remove/", pages_brokers.remove_key, name="broker-key-remove"),
    path("settings/brokers/<int:pk>/check/", pages_brokers.check, name="broker-check"),
    path("settings/live/<int:pk>/", pages_live.live, name="live"),
    path("settings/live/<int:pk>/revoke/", pages_live.revoke, name="live-revoke"),
    path("settings/live/<int:pk>/workflow/", pages_live.workflow, name="live-workflow"),
    path("risk/", pages_risk.overview, name="risk"),
    path("risk/accounts/<int:pk>/limits/", pages_risk.edit, name="risk-limits"),
    path("risk/accounts/<int:pk>/release/", pages_risk.release, name="risk-release"),
    path("risk/changes/<int:pk>/withdraw/", pages_risk.withdraw, name="risk-withdraw"),
    path("ui/risk/rows/", pages_risk.rows, name="risk-rows"),
    path("instruments/<int:pk>/", pages.instrument, name="instrument"),
    path("ui/trading/positions/rows/", pages.position_rows, name="position-rows"),
    path("ui/trading/orders/rows/", pages.order_rows, name="order-rows"),
    path("ui/trading/trades/rows/", pages.trade_rows, name="trade-rows"),
    path("ui/trading/equity/", pages.equity_data, name="equity-data"),
    path("ui/instruments/<int:pk>/quote/", pages.instrument_quote, name="instrument-quote"),
    path("ui/instruments/<int:pk>/data/", pages.instrument_data, name="instrument-data"),
]
