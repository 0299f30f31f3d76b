"""`manage.py run`: the whole system in one process tree."""

from __future__ import annotations

import fcntl
import os
import sys
import uuid
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from tradingsite.foundation import clock
from tradingsite.management import tree
from tradingsite.management.bootstrap import bootstrap
from tradingsite.settings import forms


class Command(BaseCommand):
    help = "Run web, decision loop, market feed and workers together until Ctrl-C. Example: manage.py run"
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--bind", default=settings.BIND, help="address of the web server (127.0.0.1:8000)"
        )
        parser.add_argument(
            "--without", action="append", default=[], help="leave a process out (web, feed ...)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        allowed, is_right = forms.BIND
        if not is_right(options["bind"]):
            raise CommandError(f"--bind must be {allowed}; it is {options['bind']!r}.", returncode=2)
        unknown = sorted(set(options["without"]) - {child.name for child in tree.processes(options["bind"])})
        if unknown:
            raise CommandError(f"--without names no process: {', '.join(unknown)}.", returncode=2)
        lock = take_lock(settings.VAR_DIR / "run.lock")
        self._migrate()
        self._collect_static()
        bootstrap(clock.now())
        connection.close()
        self.stdout.write(f"Open http://{options['bind']}/ in a browser; Ctrl-C stops everything.")
        self.stdout.flush()
        os.set_inheritable(lock, True)  # held until the last moment of the supervisor this process becomes
        os.chdir(settings.BASE_DIR)
        environment = os.environ | {"SUPERVISOR_GENERATION": uuid.uuid4().hex}
        os.execve(sys.executable, tree.command(options["bind"], options["without"]), environment)  # noqa: S606

    def _migrate(self) -> None:
        """The embedded database is migrated here; a shared one by whoever deploys, once, not by every host."""
        executor = MigrationExecutor(connection)
        pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if not pending:
            return
        if connection.vendor != "sqlite":
            raise CommandError(
                f"{len(pending)} migrations are pending: run `manage.py migrate` once before starting.",
                returncode=6,
            )
        call_command("migrate", verbosity=0, interactive=False)

    def _collect_static(self) -> None:
        """Without style sheets every page would fail; `make setup` collects them, but not everybody comes that way."""
        if not settings.DEBUG and not (Path(settings.STATIC_ROOT) / "staticfiles.json").exists():
            call_command("collectstatic", verbosity=0, interactive=False)


def take_lock(path: Path) -> int:
    """Take an exclusive lock on `path` and return its descriptor, which must stay open.

    A second system on the same data would only compete with this one. Raises CommandError when there is one.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.read(descriptor, 20).decode(errors="replace").strip()
        os.close(descriptor)
        raise CommandError(
            f"The system already runs here (process {holder or 'unknown'}). "
            "Stop it first, or give this one its own TRADING_VAR_DIR and TRADING_BIND.",
            returncode=6,
        ) from None
    os.ftruncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode())
    return descriptor
