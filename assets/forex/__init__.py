"""The forex asset type."""
