"""django-q2 with its own scheduler and otherwise default settings, ORM broker on SQLite, two workers.

python -m benchmarks.peers.q2_scheduler PLAN DATABASE: creates one ONCE schedule per job and serves until SIGTERM.
"""

from __future__ import annotations

import signal
import sys
import threading
from datetime import UTC, datetime

from django.conf import settings


def main(plan: str, database: str) -> None:
    settings.configure(
        SECRET_KEY="only-for-a-measurement",  # noqa: S106 - guards nothing
        DATABASES={
            "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": database, "OPTIONS": {"timeout": 20}}
        },
        INSTALLED_APPS=["django_q"],
        USE_TZ=True,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        Q_CLUSTER={
            "name": "peer",
            "orm": "default",
            "workers": 2,
            "timeout": 60,
            "retry": 120,
            "log_level": "WARNING",
        },
    )
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    _schedule(plan)
    from django_q.cluster import Cluster

    stopping = threading.Event()
    cluster = Cluster()
    cluster.start()
    # After start, which installs handlers of its own.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    stopping.wait()
    cluster.stop()


def _schedule(plan: str) -> None:
    from django.db import connection
    from django_q.models import Schedule

    from benchmarks.schedule import load

    with connection.cursor() as cursor:
        cursor.execute("PRAGMA journal_mode=WAL")
    Schedule.objects.bulk_create(
        Schedule(
            name=key, func="benchmarks.schedule.mark", args=f"({key!r},)", schedule_type=Schedule.ONCE,
            next_run=datetime.fromtimestamp(at, UTC),
        )
        for key, _workflow, at in load(plan)
    )  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:3])
