"""Alerts on their way to people: guarded addresses, channels, and the deliverer. The only importer of apprise."""
