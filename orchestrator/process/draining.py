"""Whether this cluster is being stopped: then its workers claim nothing new."""

from __future__ import annotations

import multiprocessing
from typing import Any

# Shared by fork. Without a lock: it is set once, and a killed reader must not block anybody.
_flag: Any = multiprocessing.Value("b", 0, lock=False)


def begin() -> None:
    _flag.value = 1


def is_draining() -> bool:
    return bool(_flag.value)
