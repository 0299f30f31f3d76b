"""Pure numbers: indicators, statistics, sizing, stops, fills. No Django, no I/O, no clock."""
