"""Named crash points for fault tests: a no-op unless CRASH_AT names one."""

from __future__ import annotations

import os
import signal

_seen: dict[str, int] = {}


def crash_here(name: str) -> None:
    """SIGKILL this process when CRASH_AT is `name` or `name:n` (at the n-th passage)."""
    wanted = os.environ.get("CRASH_AT")
    if not wanted:
        return
    target, _, nth = wanted.partition(":")
    if target != name:
        return
    _seen[name] = _seen.get(name, 0) + 1
    if _seen[name] >= int(nth or 1):
        os.kill(os.getpid(), signal.SIGKILL)
