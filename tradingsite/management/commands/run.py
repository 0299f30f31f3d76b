"""`manage.py run`: the whole system in one process tree."""

from __future__ import annotations

import fcntl
import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from orchestrator.plugins import Lane
from tradingsite.foundation import clock
from tradingsite.management.bootstrap import bootstrap
from tradingsite.management.supervisor import Child, Supervisor


class Command(BaseCommand):
    help = "Run web, decision loop, market feed and workers together until Ctrl-C. Example: manage.py run"
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--bind", default=settings.BIND, help="address of the web server (127.0.0.1:8000)")
        parser.add_argument("--without", action="append", default=[], help="leave a process out (web, feed ...)")

    def handle(self, *args: Any, **options: Any) -> None:
        with only_one(settings.VAR_DIR / "run.lock"):
            self._migrate()
            bootstrap(clock.now())
            connection.close()  # no connection may be shared with the children
            children = [child for child in processes(options["bind"]) if child.name not in options["without"]]
            environment = os.environ | {"SUPERVISOR_GENERATION": uuid.uuid4().hex}
            self.stdout.write(f"Open http://{options['bind']}/ in a browser; Ctrl-C stops everything.")
            Supervisor(children=children, environment=environment, on_event=self._say).serve()

    def _say(self, event: str) -> None:
        self.stderr.write(f"{clock.now():%H:%M:%S} {event}")

    def _migrate(self) -> None:
        """The embedded database is migrated here; a shared one by whoever deploys, once, not by every host."""
        executor = MigrationExecutor(connection)
        pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if not pending:
            return
        if connection.vendor != "sqlite":
            raise CommandError(
                f"{len(pending)} migrations are pending: run `manage.py migrate` once before starting.", returncode=6
            )
        call_command("migrate", verbosity=0, interactive=False)


def processes(bind: str) -> list[Child]:
    """The process tree, in the order it is started."""
    manage = [sys.executable, str(settings.BASE_DIR / "manage.py")]
    web = [sys.executable, "-m", "gunicorn", "--config", "python:tradingsite.management.web", "--bind", bind]
    children = [
        Child(name="web", command=[*web, "tradingsite.wsgi:application"]),
        Child(name="loop", command=[*manage, "loop"]),
        Child(name="feed", command=[*manage, "feed"]),
    ]
    for lane in Lane:
        children.append(Child(name=f"workers-{lane.value}", command=[*manage, "workers", "--lane", lane.value]))
    return children


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on `path`: a second system on the same data would only compete with this one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            handle.seek(0)
            raise CommandError(
                f"The system already runs here (process {handle.read().strip() or 'unknown'}). "
                "Stop it first, or give this one its own TRADING_VAR_DIR and TRADING_BIND.",
                returncode=6,
            ) from None
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        yield
