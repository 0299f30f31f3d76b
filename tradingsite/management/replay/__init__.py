"""Replay: the whole system on a virtual clock, over stored candles, in a database of its own."""
