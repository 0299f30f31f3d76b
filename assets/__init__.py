"""WHAT is traded: markets, money, research and the asset types."""
