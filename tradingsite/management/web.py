"""gunicorn's configuration, read as `--config python:tradingsite.management.web`."""

from __future__ import annotations

from typing import Any

from orchestrator.process.lifeline import die_with
from tradingsite.settings import env

worker_class = "gthread"
workers = env.env_int("TRADING_WEB_WORKERS", 1, minimum=1, maximum=64)
threads = env.env_int("TRADING_WEB_THREADS", 4, minimum=1, maximum=64)
control_socket_disable = True  # it would live in the home directory and clash between instances
timeout = 60
graceful_timeout = 10
accesslog = None
preload_app = False


def post_fork(server: Any, worker: Any) -> None:
    die_with(worker.ppid)
