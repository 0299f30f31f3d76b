"""Real processes for tests: forked after all connections are closed, so each opens its own."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import OperationalError, connection, connections

_CONTEXT = multiprocessing.get_context("fork")


def _child(work: Callable[..., Any], args: tuple[Any, ...], gate: Any, pipe: Any) -> None:
    gate.wait(20)
    try:
        pipe.send(work(*args))
    finally:
        connections.close_all()
        pipe.close()


def run_together(*jobs: tuple[Callable[..., Any], tuple[Any, ...]]) -> list[Any]:
    """Start one process per job, let them go at the same moment, return their answers (None for one that died)."""
    connections.close_all()
    gate = _CONTEXT.Barrier(len(jobs))
    started = []
    for work, args in jobs:
        mine, theirs = _CONTEXT.Pipe(duplex=False)
        process = _CONTEXT.Process(target=_child, args=(work, args, gate, theirs))
        process.start()
        theirs.close()
        started.append((process, mine))
    answers = []
    for process, pipe in started:
        process.join(60)
        answers.append(pipe.recv() if pipe.poll() else None)
    return answers


def run_and_crash(work: Callable[[], Any], point: str) -> int:
    """Run `work` in a process that kills itself at the crash point; returns the exit code (-9 when it did)."""
    connections.close_all()

    def body() -> None:
        os.environ["CRASH_AT"] = point
        work()

    process = _CONTEXT.Process(target=body)
    process.start()
    process.join(60)
    return process.exitcode if process.exitcode is not None else 999


@contextmanager
def dead_database() -> Iterator[None]:
    """Every statement fails as it does when the server is gone."""

    def refuse(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        raise OperationalError("server closed the connection unexpectedly")

    with connection.execute_wrapper(refuse):
        yield
