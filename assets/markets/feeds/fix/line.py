"""One line per login: whoever in this process needs the venue shares its session, other processes wait their turn.

A venue that allows one session per login kicks or refuses the second, and a kick in the middle of an order leaves us not
knowing what became of it. So a file lock keeps our own processes apart; a stranger's login we can only report.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from assets.markets.feeds.fix.codec import Message, Pairs
from assets.markets.feeds.fix.session import Login, LogonRefused, NoAnswer, NotSent, Session, Timing
from assets.markets.feeds.fix.transport import Endpoint
from tradingsite.foundation import clock

T = TypeVar("T")
Reader = Callable[[Message, int], T | None]
"""What a message says to the request with that number; None: nothing, go on waiting."""

_POLL_S: Final = 0.05


class Line:
    """Requests and their answers over one session, which is opened when it is needed."""

    def __init__(self, endpoint: Endpoint, login: Login, timing: Timing, lock_path: Path) -> None:
        self._endpoint, self._login, self._timing, self._lock_path = endpoint, login, timing, lock_path
        self._opening = threading.Lock()
        self._session: Session | None = None
        self._held: int | None = None  # the open lock file
        self._silent_until = 0.0
        self._refusal = ""
        self.pid = os.getpid()
        self.account = ""  # the only account of this login, once the venue has told it
        self.unsupported: set[str] = set()  # kinds of messages this venue has said it does not know

    def ready(self) -> Session:
        """Be logged on now. Raises NotSent."""
        session = self._live()
        session.touch()
        return session

    def exchange(self, kind: str, pairs: Pairs, read: Reader[T]) -> T:
        """Send once and wait for what `read` takes for the answer, logging on before when that is needed.

        Raises NotSent when nothing left this process, NoAnswer when it did and no answer came. Never sends twice: a second
        try is made only when the first is proven not to have left.
        """
        fields = tuple(pairs)
        session = self._live()
        try:
            return _exchange(session, kind, fields, read, self._timing.answer_s)
        except NotSent:
            if session.is_live:
                raise
        return _exchange(self._live(), kind, fields, read, self._timing.answer_s)

    def exchange_now(self, kind: str, pairs: Pairs, read: Reader[T], is_late: Callable[[], bool]) -> T:
        """The same over a session that stands already, and only as long as it is not too late (then TooLate)."""
        session = self._session
        if session is None:
            raise NotSent("not logged on")
        return _exchange(session, kind, tuple(pairs), read, self._timing.answer_s, is_late)

    def close(self) -> None:
        """Log out; the next request logs on again."""
        with self._opening:
            session, self._session = self._session, None
        if session is not None:
            session.close()

    def abandon(self) -> None:
        """In a child process: let go without a word, the parent goes on."""
        if self._session is not None:
            self._session.abandon()
        if self._held is not None:
            os.close(self._held)  # not unlocked: that would free the parent's lock, too

    def _live(self) -> Session:
        with self._opening:
            if self._session is not None and self._session.is_live:
                return self._session
            if self._session is not None:
                self._session.close()
            if clock.monotonic() < self._silent_until:
                raise NotSent(f"not asked again so soon after: {self._refusal}")
            self._take_lock()
            session = Session(self._endpoint, self._login, self._timing, self._free_lock)
            try:
                session.open()
            except LogonRefused as e:
                self._refusal = str(e)
                self._silent_until = clock.monotonic() + self._timing.after_refusal_s
                raise
            self._session = session
            return session

    def _take_lock(self) -> None:
        self._lock_path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        until = clock.monotonic() + self._timing.other_process_s
        pause = threading.Event()
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if clock.monotonic() >= until:
                    os.close(handle)
                    raise NotSent("another process of ours is logged on with this account") from None
                pause.wait(_POLL_S)
        self._held = handle

    def _free_lock(self) -> None:
        handle, self._held = self._held, None
        if handle is not None:
            fcntl.flock(handle, fcntl.LOCK_UN)
            os.close(handle)


def _exchange(
    session: Session, kind: str, pairs: Pairs, read: Reader[T], answer_s: float, is_late: Callable[[], bool] | None = None
) -> T:  # fmt: skip
    with session.inbox() as inbox:
        seq = session.send(kind, pairs, is_late)
        until = clock.monotonic() + answer_s
        while True:
            try:
                message = inbox.get(timeout=max(0.0, until - clock.monotonic()))
            except queue.Empty:
                raise NoAnswer(f"no answer within {answer_s:g} s") from None
            if message is None:
                raise NoAnswer(session.reason)
            answer = read(message, seq)
            if answer is not None:
                return answer


_lines: dict[tuple[Endpoint, Login], Line] = {}
_making = threading.Lock()


def line_of(endpoint: Endpoint, login: Login, timing: Timing, lock_path: Path) -> Line:
    """The line of this process for a login; after a fork a new one."""
    key = (endpoint, login)
    with _making:
        found = _lines.get(key)
        if found is not None and found.pid != os.getpid():
            found.abandon()
            found = None
        if found is None:
            found = _lines[key] = Line(endpoint, login, timing, lock_path)
        return found


def close_all() -> None:
    """Log out everywhere (at exit, and between tests)."""
    with _making:
        found = [row for row in _lines.values() if row.pid == os.getpid()]
        _lines.clear()
    for row in found:
        row.close()


atexit.register(close_all)
