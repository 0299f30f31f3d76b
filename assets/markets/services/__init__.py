"""Writes of the markets app."""
