"""The ETF asset type."""
