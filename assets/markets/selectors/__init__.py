"""Reads of market data for pages and the API."""
