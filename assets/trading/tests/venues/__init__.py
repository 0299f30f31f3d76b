"""Venues on loopback that speak the real protocols, keep the truth in an append-only log, and fail on request."""
