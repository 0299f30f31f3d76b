"""Instruments, candles, calendars, feeds and data quality."""
