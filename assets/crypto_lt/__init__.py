"""The long-term crypto asset type."""
