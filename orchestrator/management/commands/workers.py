"""`manage.py workers --lane NAME`: the django-q2 workers of one lane, hardened."""

from __future__ import annotations

import os
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from orchestrator.plugins import Lane

NAME_VARIABLE = "Q_CLUSTER_NAME"


class Command(BaseCommand):
    help = "Execute the runs of one lane until SIGTERM. The supervisor (`manage.py run`) starts one per lane."
    requires_system_checks: list[str] = []  # `run` made them; they would load every page into this process

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--lane", required=True, choices=[lane.value for lane in Lane])

    def handle(self, *args: Any, **options: Any) -> None:
        lane = options["lane"]
        if os.environ.get(NAME_VARIABLE) != lane:
            # django-q2 reads its cluster's name while it is imported, which has happened by now: start over.
            environment = os.environ | {NAME_VARIABLE: lane}
            os.execve(sys.executable, [sys.executable, *sys.argv], environment)  # noqa: S606
        sys.exit(self._serve(lane))

    def _serve(self, lane: str) -> int:
        from django_q.conf import Conf

        from orchestrator.process import cluster, watch

        lane_watch = watch.LaneWatch(
            lane=lane,
            workers=Conf.WORKERS,
            every_s=settings.CANARY_EVERY_S,
            patience_s=settings.CANARY_PATIENCE_S,
        )
        code = cluster.serve(every_second=lane_watch.every_second, is_stuck=lane_watch.is_stuck)
        lane_watch.leave()
        return code
