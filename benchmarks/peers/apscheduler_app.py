"""APScheduler in one process: a pool of two threads, jobs in memory or (second argument) in SQLite.

python -m benchmarks.peers.apscheduler_app PLAN [DATABASE]
"""

from __future__ import annotations

import signal
import sys
import threading
from datetime import UTC, datetime

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from benchmarks import schedule


def main(plan: str, database: str = "") -> None:
    stores = {}
    if database:
        from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore

        stores["default"] = SQLAlchemyJobStore(url=f"sqlite:///{database}")
    scheduler = BackgroundScheduler(
        jobstores=stores,
        executors={"default": ThreadPoolExecutor(2)},
        job_defaults={"misfire_grace_time": None, "coalesce": False},
        timezone=UTC,
    )
    for key, _workflow, at in schedule.load(plan):
        scheduler.add_job(
            schedule.mark, "date", run_date=datetime.fromtimestamp(at, UTC), args=(key,), id=key
        )
    scheduler.start()
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    stopping.wait()
    scheduler.shutdown(wait=False)


if __name__ == "__main__":
    main(*sys.argv[1:3])
