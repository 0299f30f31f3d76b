"""Databases of systems under fault: one of its own for each, and how to block one."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SERVER = os.environ.get("TRADING_TEST_DATABASE_URL", "")  # "" is SQLite


class Database:
    """A database of its own on a PostgreSQL server."""

    def __init__(self, server: str, name: str, template: str = "template1") -> None:
        import psycopg

        self.server, self.name = server, name.replace("-", "_").lower()
        with psycopg.connect(server, autocommit=True) as link:
            link.execute(f'DROP DATABASE IF EXISTS "{self.name}" WITH (FORCE)')
            link.execute(f'CREATE DATABASE "{self.name}" TEMPLATE "{template}"')
        head, _, query = server.partition("?")
        self.url = f"{head.rpartition('/')[0]}/{self.name}" + (f"?{query}" if query else "")

    def drop(self) -> None:
        import psycopg

        try:
            with psycopg.connect(self.server, autocommit=True) as link:
                link.execute(f'DROP DATABASE IF EXISTS "{self.name}" WITH (FORCE)')
        except psycopg.OperationalError:
            return  # its server is gone with it


@contextmanager
def held_database(folder: Path, database: Database | None) -> Iterator[None]:
    """Nobody else can write (SQLite), or touch runs, orders and the switch (PostgreSQL), inside the block."""
    if database is None:
        link = sqlite3.connect(folder / "var" / "db.sqlite3", timeout=60, isolation_level=None)
        link.execute("BEGIN IMMEDIATE")
    else:
        import psycopg

        link = psycopg.connect(database.url)  # type: ignore[assignment]
        link.execute(
            "LOCK TABLE orchestrator_run, orchestrator_controlswitch, orchestrator_lease IN ACCESS EXCLUSIVE MODE"
        )
    try:
        yield
    finally:
        link.rollback()
        link.close()
