"""Registers the toy type."""

from __future__ import annotations

from datetime import timedelta

from django.apps import AppConfig

TYPE_KEY = "bench_toy"
# All three bounds equal: neither load nor volatility moves the instant a run is due.
INTERVAL = timedelta(hours=1)


class ToysConfig(AppConfig):
    name = "benchmarks.toys"
    label = "bench_toys"

    def ready(self) -> None:
        from orchestrator import plugins, testkit

        kind = testkit.toy_type(
            TYPE_KEY,
            bounds=plugins.CadenceBounds(minimum=INTERVAL, base=INTERVAL, maximum=INTERVAL),
            expires_after=timedelta(minutes=10),
        )
        plugins.register(kind)
