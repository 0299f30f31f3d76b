"""Memory that was used once and is free again is kept by the allocator: give it back to the system."""

from __future__ import annotations

import ctypes
import gc


def give_back() -> None:
    """Collect garbage and return free pages to the system (glibc; elsewhere only the garbage is collected)."""
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):
        return
