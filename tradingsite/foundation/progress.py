"""A progress line for long commands: on a terminal one line that is drawn over, else a log line per ten percent."""

from __future__ import annotations

from typing import TextIO

from . import clock

_DRAW_EVERY_S = 0.2
_WIDTH = 30


class Progress:
    """`update(done)` as often as you like; `finish()` ends the line. Writes to `stream` (standard error) only."""

    def __init__(self, stream: TextIO, *, total: float, unit: str, quiet: bool = False) -> None:
        self._stream, self._total, self._unit = stream, max(total, 1e-9), unit
        self._on_terminal = not quiet and stream.isatty()
        self._quiet = quiet
        self._began = self._drawn = clock.RealClock().monotonic()
        self._tenth = 0

    def update(self, done: float) -> None:
        if self._quiet:
            return
        ratio = min(max(done / self._total, 0.0), 1.0)
        if self._on_terminal:
            self._draw(ratio, done)
        elif int(ratio * 10) > self._tenth:
            self._tenth = int(ratio * 10)
            self._stream.write(f"{ratio:.0%} ({done:,.0f} {self._unit})\n")

    def finish(self) -> None:
        if self._on_terminal:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def _draw(self, ratio: float, done: float) -> None:
        now = clock.RealClock().monotonic()
        if now - self._drawn < _DRAW_EVERY_S:
            return
        self._drawn = now
        rate = done / max(now - self._began, 1e-9)
        left_s = (self._total - done) / rate if rate else 0.0
        bar = "█" * int(ratio * _WIDTH) + "·" * (_WIDTH - int(ratio * _WIDTH))
        self._stream.write(f"\r\x1b[K{bar} {ratio:4.0%}  {rate:,.0f} {self._unit}/s  {left_s:.0f} s left")
        self._stream.flush()
