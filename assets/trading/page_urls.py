"""Addresses of the trading pages; included by the site."""

from django.urls import path

from assets.trading import exports, pages, pages_gains, pages_risk, pages_ticket

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
