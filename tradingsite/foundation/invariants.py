"""The registry of invariants: what must hold whatever happened. Each app registers its own checks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from django.db import connection, transaction

Check: TypeAlias = Callable[[datetime], list[str]]
Ask: TypeAlias = Callable[[datetime], Check]


@dataclass(frozen=True, kw_only=True, slots=True)
class InvariantResult:
    """`violations` are sentences that name the rows; empty means the invariant holds."""

    code: str
    title: str
    violations: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not self.violations


_checks: dict[str, list[tuple[str, Check]]] = {}
_asking: dict[str, list[tuple[str, Ask]]] = {}


def register(code: str, check: Check, *, title: str = "") -> None:
    """Add a check to invariant `code` (I1, I2 ...). Several apps may contribute to one. Idempotent."""
    known = _checks.setdefault(code, [])
    if not any(existing is check for _, existing in known):
        known.append((title or (check.__doc__ or code).strip().splitlines()[0], check))


def register_asking(code: str, ask: Ask, *, title: str = "") -> None:
    """Add a check that needs somebody outside the database. `ask` is called before the snapshot opens and may wait and
    write; what it returns is the check, which is called inside and may do neither. Idempotent.
    """
    known = _asking.setdefault(code, [])
    if not any(existing is ask for _, existing in known):
        known.append((title or (ask.__doc__ or code).strip().splitlines()[0], ask))


def codes() -> tuple[str, ...]:
    return tuple(sorted({*_checks, *_asking}, key=lambda code: int(code[1:])))


def run(now: datetime, only: tuple[str, ...] = ()) -> tuple[InvariantResult, ...]:
    """Run all checks, or those named. A check that raises counts as broken: unknown is not ok.

    All of them see the database as it is at one instant; what a running system writes meanwhile would look like a
    contradiction.
    """
    wanted = [code for code in codes() if not only or code in only]
    asked = {
        code: [(title, _ask(title, ask, now)) for title, ask in _asking.get(code, ())] for code in wanted
    }
    with one_instant():
        return tuple(_judge(code, [*_checks.get(code, ()), *asked[code]], now) for code in wanted)


def _ask(title: str, ask: Ask, now: datetime) -> Check:
    try:
        return ask(now)
    except Exception as error:  # noqa: BLE001 - it must be reported as a broken invariant
        violation = _failure(title, error)
        return lambda now: [violation]


def _judge(code: str, checks: list[tuple[str, Check]], now: datetime) -> InvariantResult:
    violations: list[str] = []
    for title, check in checks:
        try:
            violations += check(now)
        except Exception as error:  # noqa: BLE001 - a checker that fails must be reported as a broken invariant
            violations.append(_failure(title, error))
    return InvariantResult(code=code, title=checks[0][0], violations=tuple(violations))


def _failure(title: str, error: Exception) -> str:
    return f"{title}: the check itself failed: {type(error).__name__}: {error}"


@contextmanager
def one_instant() -> Iterator[None]:
    """A read snapshot. Readers block nobody: SQLite's log keeps it, PostgreSQL's rows have versions."""
    if connection.in_atomic_block:
        yield
        return
    is_sqlite = connection.vendor == "sqlite"
    connection.ensure_connection()  # opening it sets the mode anew
    link: Any = connection
    mode = getattr(connection, "transaction_mode", None)
    if is_sqlite:
        link.transaction_mode = "DEFERRED"  # IMMEDIATE would keep writers waiting
    try:
        with transaction.atomic():
            if not is_sqlite:
                with connection.cursor() as cursor:
                    cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            yield
    finally:
        if is_sqlite:
            link.transaction_mode = mode
