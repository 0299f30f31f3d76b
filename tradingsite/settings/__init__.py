"""Settings: base (common), dev (the embedded default), production (PostgreSQL, refuses weak values), test.

`env.py` reads environment variables, `catalogue.py` lists them all.
"""
