"""Measurements of the whole system; `make bench` runs them all. Nothing of the product imports from here."""
