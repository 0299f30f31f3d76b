"""FIX 4.4 for prices and orders: the wire (`codec`), TCP or TLS (`transport`), the session (`session`), one line per login
(`line`)."""
