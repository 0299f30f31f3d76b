"""What the load term was about: the resource that was scarcest, found again from the stored inputs."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from django.utils.translation import gettext as _

from orchestrator.engine.pressure import Pressure, pressure
from orchestrator.engine.tuning import DEFAULT
from orchestrator.engine.types import HostLoad
from orchestrator.explain import reading


def scarcest(row: Any) -> Pressure | None:
    """None when the machine's figures were not stored."""
    stored = reading.inputs(row, "load")
    if not stored:
        return None
    known = {field.name for field in fields(HostLoad)}
    figures = {name: reading.number(value) for name, value in stored.items() if name in known}
    load = HostLoad(**{name: value for name, value in figures.items() if value is not None})  # type: ignore[arg-type]
    quota = reading.number(reading.inputs(row, "conditions").get("quota_used")) or 0.0
    return pressure(load, quota, DEFAULT)


def resource_name(code: str) -> str:
    return {
        "cpu": _("CPU"),
        "ram": _("memory"),
        "queue": _("waiting tasks per worker"),
        "queue_age": _("oldest waiting task"),
        "quota": _("request budget"),
        "capacity": _("demand beyond capacity"),
    }.get(code, code)


def amount(code: str, value: float) -> str:
    """A figure of a resource with its unit."""
    if code in ("cpu", "ram", "quota"):
        return reading.percent(value)
    if code == "queue_age":
        return reading.duration(value)
    return reading.plain(value)
