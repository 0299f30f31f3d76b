"""The product's name and version: the only place."""

from typing import Final

NAME: Final = "Tradewright"
VERSION: Final = "0.1.0"
