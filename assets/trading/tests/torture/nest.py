"""Where the processes that get killed come from: loaded once, forked in milliseconds, a new one as soon as one has died.

Commands on standard input and answers on standard output are one line of JSON each. Nothing outlives the one that
started it, whoever dies first.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from queue import Queue
from typing import Any

from orchestrator.process.lifeline import die_with, tie_to_this_process


class Nest:
    """The parent's end. `errors` counts children that ended by themselves; the log tells why."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.errors, self._lock = 0, threading.Lock()
        self._answers: Queue[dict[str, Any]] = Queue()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "assets.trading.tests.torture.nest"], env=environment, text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=tie_to_this_process(),
            start_new_session=True,  # a Ctrl-C is for the parent; all others end with it
        )  # fmt: skip
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            answer = json.loads(line)
            if "fell" in answer:
                self.errors += 1
            else:
                self._answers.put(answer)
        self._answers.put({"gone": True})

    def _ask(self, timeout: float = 60, **command: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        with self._lock:
            self.process.stdin.write(json.dumps(command) + "\n")
            answer = self._answers.get(timeout=timeout)
        if "gone" in answer:
            raise RuntimeError("The nest is gone; see children.log.")
        return answer

    def start(self, slot: str) -> int:
        return int(self._ask(start=slot)["pid"])

    def kill(self, slot: str) -> bool:
        """SIGKILL to the living process of a slot. False when there was none in this moment."""
        return bool(self._ask(kill=slot)["killed"])

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(20)


class _Brood:
    """The nest's own end."""

    def __init__(self) -> None:
        self.pids: dict[str, int] = {}
        self.folder = Path(os.environ["TORTURE_DIR"])

    def hatch(self, slot: str) -> int:
        mother = os.getpid()
        pid = os.fork()
        if pid:
            self.pids[slot] = pid
            return pid
        try:
            die_with(mother)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _live(slot, self.folder)
        finally:
            os._exit(1)

    def kill(self, slot: str) -> bool:
        pid = self.pids[slot]
        # Nobody else reaps, so the number is still its own even when it has just ended.
        if os.waitpid(pid, os.WNOHANG)[0]:
            self.fell(slot)
            return False
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        self.hatch(slot)
        return True

    def reap(self) -> None:
        for slot, pid in list(self.pids.items()):
            if os.waitpid(pid, os.WNOHANG)[0]:
                self.fell(slot)

    def fell(self, slot: str) -> None:
        _say(fell=slot)
        time.sleep(0.05)
        self.hatch(slot)


def _live(slot: str, folder: Path) -> None:
    from assets.trading.tests.torture import roles

    log = os.open(folder / "children.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number, target in ((0, nothing), (1, log), (2, log)):
        os.dup2(target, number)
    try:
        roles.live(slot, folder)
    except BaseException:  # noqa: BLE001 - it ends either way; the log says why
        import traceback

        os.write(2, f"{slot}: {traceback.format_exc()}\n".encode())


def _say(**answer: Any) -> None:
    os.write(1, (json.dumps(answer) + "\n").encode())


def main() -> None:
    import django

    django.setup()
    from assets.trading.tests.torture import roles, world

    roles.preload()
    world.shrink()
    gc.freeze()
    brood = _Brood()
    wake, alarm = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(alarm)
    unread = b""
    while True:
        ready, _, _ = select.select([0, wake], [], [], 1.0)
        if wake in ready:
            os.read(wake, 4096)
        brood.reap()
        if 0 not in ready:
            continue
        received = os.read(0, 65536)
        if not received:
            for pid in brood.pids.values():
                os.kill(pid, signal.SIGKILL)
            return
        *lines, unread = (unread + received).split(b"\n")
        for line in lines:
            command = json.loads(line)
            if "start" in command:
                _say(pid=brood.hatch(command["start"]))
            else:
                _say(killed=brood.kill(command["kill"]))


if __name__ == "__main__":
    main()
