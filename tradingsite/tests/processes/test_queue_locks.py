"""The queue between worker processes stays usable when one of them is killed while it waits."""

from __future__ import annotations

import multiprocessing
import os
import signal
from typing import Any

from orchestrator.process.locks import KernelLock, SturdyQueue
from tradingsite.tests.faults.harness import wait_for

FORK = multiprocessing.get_context("fork")


def take_all(queue: SturdyQueue, answers: Any) -> None:
    for item in iter(queue.get, "STOP"):
        answers.send((os.getpid(), item))


def hold(lock: KernelLock, word: Any) -> None:
    lock.acquire()
    word.send("held")
    signal.pause()


def test_killing_whoever_waits_inside_the_read_lock_leaves_the_others_working() -> None:
    queue = SturdyQueue(maxsize=1)
    answers, theirs = FORK.Pipe(duplex=False)
    readers = [FORK.Process(target=take_all, args=(queue, theirs), daemon=True) for _ in range(4)]
    for reader in readers:
        reader.start()
    for turn in range(3):
        queue.put(turn, timeout=10)
        assert answers.poll(10)
        assert answers.recv()[1] == turn
        readers[
            turn
        ].kill()  # one of those that wait holds the lock; after three kills it has been among them
        readers[turn].join(10)
    queue.put("last", timeout=10)
    assert answers.poll(10)
    assert answers.recv() == (readers[3].pid, "last")
    readers[3].kill()


def test_a_lock_is_free_when_its_holder_is_killed() -> None:
    lock = KernelLock()
    word, theirs = FORK.Pipe(duplex=False)
    holder = FORK.Process(target=hold, args=(lock, theirs), daemon=True)
    holder.start()
    assert word.recv() == "held"
    assert not lock.acquire(block=False)
    holder.kill()
    holder.join(10)
    wait_for(lambda: lock.acquire(block=False), 5, "the lock is free")
    lock.release()


def test_a_lock_excludes_until_it_is_released() -> None:
    lock = KernelLock()
    with lock:
        word, theirs = FORK.Pipe(duplex=False)
        holder = FORK.Process(target=hold, args=(lock, theirs), daemon=True)
        holder.start()
        assert not word.poll(0.3)
    assert word.poll(10)
    holder.kill()
