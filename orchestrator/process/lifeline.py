"""A child must not outlive its parent: an orphan worker would go on executing tasks with old code."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
from collections.abc import Callable
from functools import wraps
from typing import Any

_PR_SET_PDEATHSIG = 1

try:
    _prctl: Any = ctypes.CDLL(None, use_errno=True).prctl  # looked up before any fork
except (OSError, AttributeError):  # not Linux: the main process's own watch has to do
    _prctl = None


def die_with(parent: int) -> None:
    """Ask the kernel for SIGKILL as soon as process `parent`, which must be our parent, dies. Linux only."""
    if _prctl is None:
        return
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before we asked
        os.kill(os.getpid(), signal.SIGKILL)


def tie_to_this_process() -> Callable[[], None]:
    """What a child of this process has to call first (a preexec_fn)."""
    parent = os.getpid()
    return lambda: die_with(parent)


def die_with_parent() -> None:
    """For a child made by multiprocessing."""
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid is not None:
        die_with(parent.pid)


def tied(target: Callable[..., Any]) -> Callable[..., Any]:
    """`target`, run by multiprocessing in a child that dies with its parent."""

    @wraps(target)
    def inner(*args: Any, **kwargs: Any) -> Any:
        die_with_parent()
        return target(*args, **kwargs)

    return inner
