"""One FIX 4.4 session over TCP or TLS: logon, numbers, heartbeats, gaps, logout. It never sends a message twice.

A thread of its own reads; any thread may send. What a caller sends is answered into the inboxes open at that moment.
There is no store of what was sent: when the venue asks for old messages it is told to go on (gap fill), because an order
that arrives late is an order nobody wants any more.
"""

from __future__ import annotations

import logging
import queue
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from assets.markets.feeds.fix import transport
from assets.markets.feeds.fix.codec import Framer, Message, Pairs, Unreadable, encode, write_time
from assets.markets.feeds.fix.transport import Endpoint
from tradingsite.foundation import clock

logger = logging.getLogger(__name__)

Inbox = queue.SimpleQueue[Message | None]
"""Messages as they come; None: the session has ended."""

_READ: Final = 65536
_MOST_EARLY: Final = 10_000
_FAREWELL_S: Final = 2.0

HEARTBEAT, TEST_REQUEST, RESEND_REQUEST, REJECT, SEQUENCE_RESET, LOGOUT, LOGON = (
    "0",
    "1",
    "2",
    "3",
    "4",
    "5",
    "A",
)


class NotSent(Exception):
    """Proven: nothing of the message has left this process."""


class TooLate(NotSent):
    """It would have left later than its sender allows."""


class NoAnswer(Exception):
    """It was sent, or may have been, and nothing is known of what became of it."""


class LogonRefused(NotSent):
    """The venue does not let us in. Asking again at once may lock the account."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Login:
    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """Seconds. `linger_s`: an unused session is left after that, so that our other processes get in."""

    heartbeat_s: float = 30.0
    answer_s: float = 10.0
    linger_s: float = 2.0
    other_process_s: float = 5.0
    after_refusal_s: float = 60.0


class Session:
    """From logon to the end; then make a new one. `on_end` is called once, from whichever thread sees the end."""

    def __init__(self, endpoint: Endpoint, login: Login, timing: Timing, on_end: Callable[[], None]) -> None:
        self._endpoint, self._login, self._timing, self._on_end = endpoint, login, timing, on_end
        self._io = (
            threading.RLock()
        )  # socket and outgoing numbers; also TLS objects are not made for two threads
        self._inboxes: list[Inbox] = []
        self._settled = threading.Event()  # logged on, or ended
        self._ended = threading.Event()
        self._is_on = self._is_refused = False
        self._reason = ""
        self._framer = Framer()
        self._next_out, self._expected = 1, 1
        self._early: dict[int, Message] = {}  # came before one that is missing
        self._asked_from, self._gap_at = 0, 0.0
        self._sent_at = self._heard_at = self._used_at = clock.monotonic()
        self._probe_at: float | None = None
        self._farewell_at: float | None = None
        self._socket: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, name="fix-session", daemon=True)

    # --- For callers --------------------------------------------------------------------------------------------

    @property
    def is_live(self) -> bool:
        return self._is_on and not self._ended.is_set() and self._farewell_at is None

    def touch(self) -> None:
        """It is about to be used: do not leave it right now."""
        self._used_at = clock.monotonic()

    def open(self) -> None:
        """Connect and log on. Raises NotSent; LogonRefused when the venue said no."""
        try:
            self._socket = transport.connect(self._endpoint, self._timing.answer_s)
        except (OSError, ValueError) as e:  # ssl.SSLError and name resolution are OSErrors
            self._end(f"no connection: {type(e).__name__}: {e}")
            raise NotSent(self._reason) from e
        self._thread.start()
        try:
            self.send(LOGON, self._logon())
        except NoAnswer as e:
            raise NotSent(f"no logon: {e}") from e
        self._settled.wait(self._timing.answer_s)
        if self._is_on and not self._ended.is_set():
            return
        self._end("no answer to the logon")
        raise (LogonRefused if self._is_refused else NotSent)(self._reason)

    def listen(self) -> Inbox:
        """Everything that comes in from now on, until `stop_listening`. Raises NotSent when the session has ended."""
        mine: Inbox = queue.SimpleQueue()
        with self._io:
            if not self.is_live:
                raise NotSent(self._reason or "the session is being left")
            self._inboxes.append(mine)
        return mine

    def stop_listening(self, inbox: Inbox) -> None:
        with self._io:
            self._inboxes.remove(inbox)
            self._used_at = clock.monotonic()

    @contextmanager
    def inbox(self) -> Iterator[Inbox]:
        """What comes in while the block runs. Open it before sending. Raises NotSent when the session has ended."""
        mine = self.listen()
        try:
            yield mine
        finally:
            self.stop_listening(mine)

    def send(self, kind: str, pairs: Pairs, is_late: Callable[[], bool] | None = None) -> int:
        """Send once; returns the number of the message. Raises NotSent, or NoAnswer when a part may have left.

        `is_late` is asked last of all, when the line is free: then TooLate instead of a message nobody wants any more.
        """
        with self._io:
            if self._ended.is_set() or self._socket is None:
                raise NotSent(self._reason or "not connected")
            seq = self._next_out
            try:
                data = encode(kind, [*self._header(seq), *pairs])
            except ValueError as e:
                raise NotSent(str(e)) from e
            if is_late is not None and is_late():
                raise TooLate("it would have left too late")
            self._next_out += 1
            try:
                transport.write(self._socket, data)
            except OSError as e:
                self._end(f"the line was cut while sending: {type(e).__name__}")
                raise NoAnswer(self._reason) from e
            self._sent_at = clock.monotonic()
            return seq

    def close(self) -> None:
        """Log out and wait, shortly, for the end."""
        with self._io:
            if self.is_live:
                self._take_leave("")
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(_FAREWELL_S)
        self._end("closed")

    def abandon(self) -> None:
        """After a fork: the parent goes on with it, this process only lets go of the handle."""
        self._ended.set()
        if self._socket is not None:
            self._socket.close()

    # --- The thread ---------------------------------------------------------------------------------------------

    def _run(self) -> None:
        timing = self._timing
        pause = max(0.005, min(1.0, timing.heartbeat_s / 4, timing.linger_s / 2))
        try:
            while not self._ended.is_set():
                self._read(pause)
                self._look_at_the_clock()
        except Unreadable as e:
            self._end(f"the venue sent what no session allows: {e}")
        except (
            OSError,
            ValueError,
            NotSent,
            NoAnswer,
        ) as e:  # ValueError: select on a socket closed meanwhile
            self._end(f"the line was cut: {type(e).__name__}")
        except BaseException as e:
            self._end(f"the session failed: {type(e).__name__}")
            raise

    def _read(self, pause: float) -> None:
        assert self._socket is not None
        select.select([self._socket], [], [], pause)
        while not self._ended.is_set():
            with self._io:
                try:
                    data = self._socket.recv(_READ)
                except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    return
            if not data:
                self._end("the venue closed the line")
                return
            for message in self._framer.feed(data):
                if self._ended.is_set():
                    return
                self._receive(message)

    def _look_at_the_clock(self) -> None:
        now, timing = clock.monotonic(), self._timing
        if self._ended.is_set():
            return
        if self._farewell_at is not None:
            if now - self._farewell_at >= _FAREWELL_S:
                self._end(self._reason or "left")
            return
        if self._early and now - self._gap_at >= timing.answer_s:
            self._end("the venue did not send again what was missing")
            return
        if not self._is_on:
            return
        if now - self._heard_at >= 2.4 * timing.heartbeat_s:
            self._end("no heartbeat of the venue")
            return
        if now - self._heard_at >= 1.2 * timing.heartbeat_s and self._probe_at is None:
            self._probe_at = now
            self.send(TEST_REQUEST, [(112, "alive")])
        if now - self._sent_at >= timing.heartbeat_s:
            self.send(HEARTBEAT, [])
        with self._io:
            if not self._inboxes and now - self._used_at >= timing.linger_s:
                self._take_leave("")

    # --- What comes in ------------------------------------------------------------------------------------------

    def _receive(self, message: Message) -> None:
        self._heard_at, self._probe_at = clock.monotonic(), None
        kind, seq = message.kind, message.whole(34)
        if (message.get(49), message.get(56)) != (self._endpoint.target, self._endpoint.sender):
            raise Unreadable("it is not from the venue, or not for us")
        if not self._is_on:
            self._before_logon(message, seq)
        elif kind == SEQUENCE_RESET and message.get(123) != "Y":
            self._move_to(message.whole(36))
        elif seq < self._expected:
            if not message.is_duplicate:
                self._take_leave(f"MsgSeqNum too low, expecting {self._expected} but received {seq}")
        elif seq > self._expected:
            self._keep_for_later(message, seq)
        else:
            self._take(message)
        self._catch_up()

    def _before_logon(self, message: Message, seq: int) -> None:
        if message.kind == LOGON:
            self._expected, self._is_on = seq + 1, True
            self._settled.set()
            return
        self._is_refused = True
        text = message.get(58).replace(self._login.password, "***")[:160]
        self._end(f"logon refused: {text or 'message ' + message.kind}")

    def _keep_for_later(self, message: Message, seq: int) -> None:
        if message.kind == RESEND_REQUEST:
            self._fill_their_gap(message)  # else both wait for each other
        if message.kind == LOGOUT:
            self._on_logout(message)
            return
        if len(self._early) >= _MOST_EARLY:
            self._end("too much came while something is missing")
            return
        if not self._early:
            self._gap_at = clock.monotonic()
        self._early[seq] = message

    def _catch_up(self) -> None:
        while self._expected in self._early and not self._ended.is_set():
            message = self._early.pop(self._expected)
            if message.kind == RESEND_REQUEST:
                self._expected += 1  # answered when it came
            else:
                self._take(message)
        if self._early and self._asked_from != self._expected and not self._ended.is_set():
            self._asked_from, self._gap_at = self._expected, clock.monotonic()
            self.send(RESEND_REQUEST, [(7, str(self._expected)), (16, str(min(self._early) - 1))])

    def _take(self, message: Message) -> None:
        """The next message in line."""
        kind = message.kind
        if kind == SEQUENCE_RESET:
            self._move_to(message.whole(36))
            return
        self._expected += 1
        if kind == TEST_REQUEST:
            self.send(HEARTBEAT, [(112, message.need(112))])
        elif kind == RESEND_REQUEST:
            self._fill_their_gap(message)
        elif kind == LOGOUT:
            self._on_logout(message)
        elif kind != LOGON:
            with self._io:
                for inbox in self._inboxes:
                    inbox.put(message)

    def _move_to(self, new: int) -> None:
        if new <= self._expected:
            raise Unreadable(f"a sequence reset to {new}, expected was {self._expected}")
        self._expected = new
        self._early = {seq: message for seq, message in self._early.items() if seq >= new}

    def _fill_their_gap(self, message: Message) -> None:
        """The venue misses messages of ours. Whatever they were, they are not sent again."""
        first, last = message.whole(7), message.whole(16)
        with self._io:
            if not 1 <= first < self._next_out or self._socket is None:
                return
            until = min(last + 1, self._next_out) if last else self._next_out
            if until <= first:
                return
            told = [
                *self._header(first),
                (43, "Y"),
                (122, write_time(clock.now())),
                (123, "Y"),
                (36, str(until)),
            ]
            transport.write(self._socket, encode(SEQUENCE_RESET, told))
            self._sent_at = clock.monotonic()

    def _on_logout(self, message: Message) -> None:
        if self._farewell_at is None:
            self._take_leave("")
        self._end(f"the venue logged us out: {message.get(58)[:160]}".rstrip(": "))

    # --- The end ------------------------------------------------------------------------------------------------

    def _take_leave(self, text: str) -> None:
        self._farewell_at = clock.monotonic()
        self._reason = text
        try:
            self.send(LOGOUT, [(58, text)] if text else [])
        except (NotSent, NoAnswer):
            return  # it has ended already, and that is all we wanted

    def _end(self, reason: str) -> None:
        with self._io:
            if self._ended.is_set():
                return
            self._reason = self._reason or reason
            self._ended.set()
            if self._socket is not None:
                transport.hang_up(self._socket)
            for inbox in self._inboxes:
                inbox.put(None)
        self._settled.set()
        logger.info("fix session with %s ended: %s", self._endpoint.host, self._reason)
        self._on_end()

    @property
    def reason(self) -> str:
        """Why it ended."""
        return self._reason

    # --- What every message has ---------------------------------------------------------------------------------

    def _header(self, seq: int) -> list[tuple[int, str]]:
        to = self._endpoint
        return [
            (34, str(seq)), (49, to.sender), (52, write_time(clock.now())), (56, to.target), (57, to.target_sub)
        ]  # fmt: skip

    def _logon(self) -> list[tuple[int, str]]:
        interval = str(max(1, round(self._timing.heartbeat_s)))
        return [
            (98, "0"), (108, interval), (141, "Y"), (553, self._login.user), (554, self._login.password)
        ]  # fmt: skip
