"""The meme coins asset type."""
