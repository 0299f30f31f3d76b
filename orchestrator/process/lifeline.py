"""A child must not outlive its parent: an orphan worker would go on executing tasks with old code."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable
from functools import wraps
from typing import Any

_PR_SET_PDEATHSIG = 1


def die_with_parent(sig: int = signal.SIGKILL) -> None:
    """Ask the kernel for `sig` when the parent dies. Linux only; elsewhere the supervisor's watch has to do."""
    try:
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, sig)
    except (OSError, AttributeError):
        return
    if os.getppid() == 1:  # it died before we asked
        os.kill(os.getpid(), sig)


def tied(target: Callable[..., Any]) -> Callable[..., Any]:
    """`target`, run in a child that dies with its parent."""

    @wraps(target)
    def inner(*args: Any, **kwargs: Any) -> Any:
        die_with_parent()
        return target(*args, **kwargs)

    return inner
