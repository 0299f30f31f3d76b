"""A process shows its supervisor that it is not merely there: one byte through a pipe, each time its main loop turns."""

from __future__ import annotations

import os

VARIABLE = "SUPERVISOR_PULSE_FD"


class Pulse:
    """Without a supervisor it does nothing."""

    def __init__(self) -> None:
        text = os.environ.get(VARIABLE, "")
        self._fd = int(text) if text.isdigit() else None
        if self._fd is not None:
            os.set_blocking(self._fd, False)

    def beat(self) -> None:
        if self._fd is None:
            return
        try:
            os.write(self._fd, b".")
        except BlockingIOError:
            return  # the supervisor is slow: it has enough signs of life to read
        except OSError:
            self._fd = None  # it is gone, and we shall follow
