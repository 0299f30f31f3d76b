"""The door of this package: what may enter as numbers, and what a missing number looks like on the way out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]
Numbers: TypeAlias = "FloatArray | Sequence[float]"


def checked(values: Numbers, name: str = "values") -> FloatArray:
    """`values` as a one-dimensional float64 array.

    Raises ValueError for NaN and infinity: comparisons with NaN are silently false, so an RSI of a series with a
    hole would read 0 or 100 instead of "unknown". Fill or drop holes before asking.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise ValueError(f"{name} must be one-dimensional, had {array.ndim} dimensions.")
    if not np.isfinite(array).all():
        bad = int(np.flatnonzero(~np.isfinite(array))[0])
        raise ValueError(f"{name} must be finite, was {array[bad]} at position {bad}.")
    return array


def checked_prices(values: Numbers, name: str = "prices") -> FloatArray:
    """Like `checked`, and every number must be above zero. Raises ValueError."""
    array = checked(values, name)
    if array.size and float(array.min()) <= 0.0:
        bad = int(np.flatnonzero(array <= 0.0)[0])
        raise ValueError(f"{name} must be above 0, was {array[bad]} at position {bad}.")
    return array


def checked_window(window: int, name: str = "window", *, minimum: int = 1) -> int:
    """`window` when it is a whole number of at least `minimum`, else ValueError."""
    if isinstance(window, bool) or int(window) != window or window < minimum:
        raise ValueError(f"{name} must be a whole number of at least {minimum}, was {window}.")
    return int(window)


def finite_or_none(value: float) -> float | None:
    """`value`, or None when it is NaN or infinite: what leaves for JSON, pages and the database."""
    number = float(value)
    return number if math.isfinite(number) else None
