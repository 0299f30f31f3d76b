"""F60 F79 F80: a database that is locked, restarted, or edited by hand."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections import Counter
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tradingsite.tests.faults.databases import SERVER, held_database
from tradingsite.tests.faults.harness import System, report, wait_for


def test_a_database_locked_for_half_a_minute_delays_but_breaks_nothing(running: System) -> None:
    mark = len(running.say())
    seen: Counter[int] = Counter()
    longest = 0.0
    with held_database(running.folder, running.database):
        until = time.monotonic() + 30
        while time.monotonic() < until:
            began = time.monotonic()
            seen[running.page("/login/")] += 1
            longest = max(longest, time.monotonic() - began)
            time.sleep(0.5)
    took = running.recovers(60)
    report(
        "write lock held 30 s",
        pages=dict(seen),
        longest_page_s=round(longest, 1),
        recovered_after_s=round(took, 1),
    )
    assert not [status for status in seen if status >= 500 and status != 503], seen
    # Work that waited for too long says so, by the database's patience or the run's own; nothing else went wrong.
    records = re.split(r"\n(?=\d{4}-\d\d-\d\dT)", running.say(mark))
    errors = [record for record in records if "Traceback (most recent call last)" in record]
    waited = ("database is locked", "lock timeout", "TimeoutException")
    other = [record for record in errors if not any(words in record for words in waited)]
    assert other == [], "\n".join(other)[:6000]
    running.is_sound()


def test_a_posted_journal_line_cannot_be_edited_by_hand(running: System) -> None:
    wait_for(lambda: running.ask("count", "trading.JournalLine"), 30, "there are lines")
    refused = running.ask("edit_fill")
    assert refused != ""
    running.is_sound()


def server_command(*words: str) -> list[str]:
    """pg_ctl for the throw-away cluster of .ci/postgres, as its owner."""
    home = parse_qs(urlsplit(SERVER).query).get("host", [""])[0]
    data = Path(home) / "data"
    if not home or not data.exists():
        pytest.skip("needs the throw-away cluster of .ci/postgres")
    found = shutil.which("pg_ctl") or max(str(p) for p in Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    command = [found, "-D", str(data), *words]
    if os.getuid() == 0:
        return [
            "setpriv",
            "--reuid=postgres",
            "--regid=postgres",
            "--init-groups",
            "env",
            "-u",
            "HOME",
            *command,
        ]
    return command


@pytest.mark.skipif(not SERVER, reason="about PostgreSQL")
def test_after_a_restart_of_the_server_everything_connects_again(running: System) -> None:
    for turn in range(2):
        command = server_command("-m", "immediate", "-w", "-l", "/dev/null", "restart")
        subprocess.run(command, check=True, cwd="/", capture_output=True, timeout=120)
        before = time.monotonic()
        wait_for(lambda: running.page("/login/") == 200, 10, "pages")
        took = running.recovers(30)
        report(
            "postgresql restarted",
            turn=turn,
            seconds=round(time.monotonic() - before, 1),
            recovered_after_s=round(took, 1),
        )
        running.is_sound()
