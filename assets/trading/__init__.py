"""Accounts, ledger, orders, positions, risk and brokers."""
