"""Writes of the trading room."""
