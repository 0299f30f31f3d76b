"""Help for tests of this and other apps: a loopback venue, candles by the hundred."""
