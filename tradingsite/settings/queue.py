"""django-q2 settings. Our tables are the truth; the queue is only a bell that carries run ids.

Why these values (each was measured or read in the library's source):
* `max_attempts=1, ack_failures=True`: by default a failing task is repeated for ever. Retrying is our decision.
* `retry` far above `timeout`: a message is locked from when it is fetched, not from when it starts, so a
  short `retry` runs waiting tasks twice. `queue_limit=1` keeps that prefetch (and priority inversion) minimal.
* `save_limit=-1`: pruning saved successes costs three quarters of the throughput; runs have their own table.
* `scheduler=False, catch_up=False`: the library's scheduler wakes every 30 s; our loop plans the work.
* `guard_cycle` divides a second, because task timers count whole seconds.
"""

from typing import Any

TRADING_LANE = "trading"
MAINTENANCE_LANE = "maintenance"
LANES = (TRADING_LANE, MAINTENANCE_LANE)

_RETRY_FACTOR = 10


def cluster(*, workers: int, maintenance_workers: int, timeout_s: int, max_rss_mb: int) -> dict[str, Any]:
    """Q_CLUSTER with one cluster per lane; a worker process picks its lane by the variable Q_CLUSTER_NAME."""
    return {
        "name": "ts",
        "orm": "default",
        "workers": workers,
        "timeout": timeout_s,
        "retry": timeout_s * _RETRY_FACTOR,
        "queue_limit": 1,
        "bulk": 1,
        "poll": 0.05,
        "guard_cycle": 0.5,
        "ack_failures": True,
        "max_attempts": 1,
        "save_limit": -1,
        "catch_up": False,
        "scheduler": False,
        "recycle": 200,
        "max_rss": max_rss_mb * 1024,
        "log_level": "INFO",
        "ALT_CLUSTERS": {
            TRADING_LANE: {"workers": workers},
            # Backtests, training and clean-up: they may take longer and must not delay a trading run.
            MAINTENANCE_LANE: {
                "workers": maintenance_workers,
                "timeout": timeout_s * 5,
                "retry": timeout_s * 5 * _RETRY_FACTOR,
                "poll": 0.2,
            },
        },
    }
