"""A lock between processes that the kernel opens when its holder dies, and a queue that uses it.

multiprocessing's locks are semaphores: a process killed while it holds one keeps it for ever. An idle worker always
holds one, because it waits for the next task inside the queue's read lock; killing it used to stop the whole cluster
while every process looked alive.
"""

from __future__ import annotations

import fcntl
import multiprocessing
import multiprocessing.queues
import tempfile
from types import TracebackType


class KernelLock:
    """Excludes processes, not threads: each process may use it from one thread at a time only.

    It is a record lock on an unlinked file: the descriptor is inherited by fork, the lock belongs to one process and
    is gone with it.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="queue-lock-")

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Take the lock. Raises NotImplementedError for a limited wait: nobody here needs one."""
        if timeout is not None:
            raise NotImplementedError("A kernel lock waits for ever or not at all.")
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX if block else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_UN)

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class SturdyQueue(multiprocessing.queues.Queue):  # type: ignore[type-arg] # not generic at run time
    """The queue between pusher, workers and monitor: killing any of them while it waits leaves it usable.

    A message (a run id, a short result) is written to the pipe in one piece, so a reader finds whole messages only.
    What remains is the instant between reading a message and releasing its slot; the canary notices that.
    """

    def __init__(self, maxsize: int = 0) -> None:
        super().__init__(maxsize, ctx=multiprocessing.get_context("fork"))
        self._rlock = KernelLock()
        self._wlock = KernelLock()
