"""What must go on while a process's main loop waits for somebody else: a thread with a database connection of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from django.db import DatabaseError, InterfaceError, close_old_connections, connection

from tradingsite.foundation.errors import Unavailable

logger = logging.getLogger(__name__)


class Aside:
    """Calls `act` every `every_s` seconds until `stop`. A database that is away postpones it; any other error is a bug:
    it is logged, and the next call comes all the same, because a silent end would be worse.
    """

    def __init__(self, name: str, every_s: float, act: Callable[[], object]) -> None:
        self._every_s, self._act = every_s, act
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """No call begins after this; waits a little for one under way."""
        self._stopping.set()
        self._thread.join(timeout_s)

    def _serve(self) -> None:
        try:
            while not self._stopping.is_set():
                self._once()
                self._stopping.wait(self._every_s)
        finally:
            connection.close()

    def _once(self) -> None:
        try:
            close_old_connections()
            self._act()
        except (DatabaseError, InterfaceError, Unavailable) as error:
            logger.warning("%s postponed: %s", self._thread.name, error)
            connection.close()
        except Exception:  # what it stands for must not end with one bad order
            logger.exception("%s failed", self._thread.name)
