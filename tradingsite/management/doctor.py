"""What can be wrong with an installation, each with what to do about it."""

from __future__ import annotations

import os
import re
import shutil
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.db.migrations.executor import MigrationExecutor

from assets.markets.selectors import pages as markets
from assets.markets.selectors.setup import calendars_lacking_days
from orchestrator.health.findings import REQUIRED_ROLES, Limits
from orchestrator.selectors import cli
from tradingsite.management import demo

PYTHON = ((3, 11), (3, 14))
_MB = 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Diagnosis:
    """One thing looked at. `state` is ok, off (not running, by choice), warning or error; `fix` what to do about it."""

    name: str
    state: str
    detail: str
    fix: str = ""


def examine(now: datetime) -> list[Diagnosis]:
    """Everything, in the order in which it is worth repairing. What needs a database is left out when there is none."""
    found = [python(), dependencies(), *permissions(), static_files(), disk(), halt_file()]
    answers = database()
    found.append(answers)
    if answers.state != "ok":
        return found
    found.append(migrations())
    if found[-1].state != "ok":
        return found
    return [*found, calendars(now), switch(now), processes(now), *feed(now)]


def python() -> Diagnosis:
    """The interpreter's version."""
    have = ".".join(str(part) for part in sys.version_info[:3])
    if PYTHON[0] <= sys.version_info[:2] < PYTHON[1]:
        return Diagnosis(name="python", state="ok", detail=have)
    return Diagnosis(
        name="python",
        state="error",
        detail=f"{have} is not supported",
        fix="Install Python 3.11 and run: make setup",
    )


def dependencies() -> Diagnosis:
    """Installed packages against the lock file."""
    pins = re.findall(
        r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)",
        _text(settings.BASE_DIR / "requirements.txt"),
        re.MULTILINE,
    )
    wrong = []
    for name, wanted in pins:
        try:
            have = version(name)
        except PackageNotFoundError:
            have = "missing"
        if have != wanted:
            wrong.append(f"{name} {have} instead of {wanted}")
    if wrong:
        shown = ", ".join(wrong[:5]) + (f" and {len(wrong) - 5} more" if len(wrong) > 5 else "")
        return Diagnosis(name="dependencies", state="warning", detail=shown, fix="make setup")
    return Diagnosis(name="dependencies", state="ok", detail=f"{len(pins)} packages as locked")


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def permissions() -> Iterator[Diagnosis]:
    """The directory we write to, and who may read keys and database."""
    folder = Path(settings.VAR_DIR)
    if not os.access(folder, os.W_OK | os.X_OK):
        yield Diagnosis(
            name="var",
            state="error",
            detail=f"{folder} cannot be written",
            fix=f"chown -R $(id -un) {folder}",
        )
        return
    private = [folder, *(path for path in folder.iterdir() if path.suffix in (".key", ".keys", ".sqlite3"))]
    open_to_others = [path for path in private if stat.S_IMODE(path.stat().st_mode) & 0o077]
    if open_to_others:
        names = " ".join(str(path) for path in open_to_others)
        yield Diagnosis(
            name="var", state="error", detail=f"other users can read {names}", fix=f"chmod go-rwx {names}"
        )
        return
    yield Diagnosis(name="var", state="ok", detail=f"{folder} is writable and private")


def static_files() -> Diagnosis:
    """Style sheets and scripts of the pages."""
    manifest = Path(settings.STATIC_ROOT) / "staticfiles.json"
    if settings.DEBUG or manifest.exists() or "Manifest" not in settings.STORAGES["staticfiles"]["BACKEND"]:
        return Diagnosis(name="static files", state="ok", detail="collected")
    return Diagnosis(
        name="static files", state="error", detail="not collected: pages would fail", fix="make setup"
    )


def disk() -> Diagnosis:
    """Room for the database to grow."""
    free, limits = shutil.disk_usage(settings.VAR_DIR).free / _MB, Limits()
    state = (
        "ok" if free >= limits.disk_warning_mb else "warning" if free >= limits.disk_critical_mb else "error"
    )
    fix = "" if state == "ok" else "Free some space, or run the workflow data_purge."
    return Diagnosis(name="disk", state=state, detail=f"{free:.0f} MB free", fix=fix)


def halt_file() -> Diagnosis:
    """The file that stops all trading."""
    path = Path(settings.HALT_FILE)
    if settings.HALT:
        return Diagnosis(
            name="halt", state="warning", detail="TRADING_HALT is True", fix="Unset TRADING_HALT and restart."
        )
    if path.exists():
        return Diagnosis(
            name="halt", state="warning", detail=f"{path} stops all trading",
            fix="When the reason is gone: manage.py orchestrator start --clear-halt",
        )  # fmt: skip
    return Diagnosis(name="halt", state="ok", detail="no halt file")


def database() -> Diagnosis:
    """Whether it answers."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except (DatabaseError, InterfaceError) as error:
        return Diagnosis(
            name="database", state="error", detail=str(error).strip() or type(error).__name__,
            fix="Start the database server, or check TRADING_DATABASE_URL.",
        )  # fmt: skip
    return Diagnosis(name="database", state="ok", detail=connection.vendor)


def migrations() -> Diagnosis:
    """Whether the tables are those of this code."""
    executor = MigrationExecutor(connection)
    pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if pending:
        return Diagnosis(
            name="migrations", state="error", detail=f"{len(pending)} pending", fix="manage.py migrate"
        )
    return Diagnosis(name="migrations", state="ok", detail="all applied")


def calendars(now: datetime) -> Diagnosis:
    """Whether exchange sessions are known far enough ahead; a calendar without days counts as closed."""
    lacking = calendars_lacking_days(now)
    if lacking:
        return Diagnosis(
            name="calendars",
            state="warning",
            detail=f"too few days: {', '.join(lacking)}",
            fix="manage.py sync_calendars",
        )
    return Diagnosis(name="calendars", state="ok", detail="known for the next months")


def switch(now: datetime) -> Diagnosis:
    """Whether anything may start."""
    position = cli.status(now)["switch"]["position"]
    if position == "unreadable":
        return Diagnosis(
            name="switch", state="error", detail="unreadable: nothing is sent", fix="See database."
        )
    fix = "" if position == "running" else "manage.py orchestrator start"
    return Diagnosis(
        name="switch", state="ok" if position == "running" else "off", detail=str(position), fix=fix
    )


def processes(now: datetime) -> Diagnosis:
    """Whether all parts show signs of life. All silent is "off": the system was not started."""
    alive = {beat["role"] for beat in cli.status(now)["processes"] if beat["alive"]}
    missing = [role for role in REQUIRED_ROLES if role not in alive]
    if not missing:
        return Diagnosis(name="processes", state="ok", detail=f"{len(alive)} roles show signs of life")
    if len(missing) == len(REQUIRED_ROLES):
        return Diagnosis(name="processes", state="off", detail="not running", fix="make run")
    return Diagnosis(
        name="processes", state="error", detail=f"silent: {', '.join(missing)}",
        fix="Look at the log; stop and start the system if they do not come back within a minute.",
    )  # fmt: skip


def feed(now: datetime) -> Iterator[Diagnosis]:
    """Whether prices come in. Old prices are no fault while the system is off."""
    newest = markets.newest_data_at()
    name = f"feed {settings.TRADING_FEED}"
    if settings.TRADING_FEED == "none":
        yield Diagnosis(name=name, state="off", detail="no feed is configured", fix="Set TRADING_FEED.")
    elif settings.TRADING_FEED == "simulated" and not demo.is_wanted():
        yield Diagnosis(
            name=name, state="warning", detail="the demo was removed, so there is nothing to trade",
            fix="Set TRADING_FEED, for example to binance, and start again; or: manage.py seed_demo",
        )  # fmt: skip
    elif newest is None:
        yield Diagnosis(name=name, state="off", detail="no price has come in yet", fix="make run")
    elif now - newest > timedelta(minutes=2) and processes(now).state != "off":
        yield Diagnosis(
            name=name, state="error", detail=f"the newest price came {now - newest} ago",
            fix="Markets shows the feed's last error per instrument.",
        )  # fmt: skip
    else:
        yield Diagnosis(
            name=name, state="ok", detail=f"newest price at {newest.isoformat(timespec='seconds')}"
        )
