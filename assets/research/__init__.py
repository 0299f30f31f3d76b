"""Backtests, statistics, models, portfolios and sentiment."""
