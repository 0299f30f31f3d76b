"""`manage.py orchestrator status|start|stop|pause|drain|tick`: look at the switch and turn it."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from orchestrator.loop import Loop
from orchestrator.probe import HostProbe
from orchestrator.selectors import cli
from orchestrator.services import beats, control, exits
from orchestrator.services.control import ControlState
from tradingsite.foundation import clock
from tradingsite.foundation.commands import EXIT_CONFLICT, EXIT_DEGRADED, EXIT_OK, JsonCommand, table

_TURNS: dict[str, Callable[..., ControlState]] = {
    "start": control.start,
    "stop": control.stop,
    "pause": control.pause_entries,
    "drain": control.drain,
}

_NO_LOOP = "No decision loop is running here, so nothing will be decided. Start the system: make run"


class Command(JsonCommand):
    help = (
        "Show or turn the switch. start: everything runs. pause: no new entries, exits and stops go on. "
        "drain: nothing new starts. flatten: no new entries, every position is closed, then stop. stop: no order is sent any more. tick: one round of the loop, here and now."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", choices=("status", *_TURNS, "flatten", "tick"))
        parser.add_argument("--reason", default="", help="kept with the change")
        parser.add_argument(
            "--clear-halt",
            action="store_true",
            help="with start: remove the halt file first (it was put there on purpose)",
        )

    def run(self, options: dict[str, Any]) -> int:
        action = options["action"]
        if action == "status":
            return self._status()
        if action == "tick":
            return self._tick()
        if action == "flatten":
            count = exits.flatten("", actor=self.actor(), now=clock.now(), reason=options["reason"])
            self.emit(
                {"ok": True, "positions": count},
                text=f"Entries are paused; {count} positions are being closed.",
            )
            return EXIT_OK
        if action == "start" and options["clear_halt"]:
            control.release_halt_file(self.actor(), clock.now(), options["reason"])
        state = _TURNS[action](self.actor(), clock.now(), options["reason"])
        warning = _NO_LOOP if action == "start" and not cli.is_loop_alive(clock.now()) else ""
        document = {"ok": True, **asdict(state), **({"warning": warning} if warning else {})}
        self.emit(document, text=f"The switch is {state.position.value} (epoch {state.epoch}).")
        if warning and not options["as_json"]:
            self.note(warning)
        return EXIT_OK

    def _status(self) -> int:
        document = cli.status(clock.now())
        switch, leader, next_run = document["switch"], document["leader"], document["next_run_at"]
        lines = [
            f"switch      {switch['position']}" + (f" ({switch['reason']})" if switch.get("reason") else ""),
            f"leader      {leader['holder'] if leader else 'nobody'}",
            f"workflows   {_counts(document['workflows'])}, {document['quarantined']} quarantined",
            f"open runs   {_counts(document['open_runs'])}",
            f"next run    {next_run.isoformat(timespec='seconds') if next_run else '-'}",
        ]
        if document["processes"]:
            rows = [
                (p["role"], p["name"], p["beat_at"].isoformat(timespec="seconds"), p["alive"])
                for p in document["processes"]
            ]
            lines += ["", table(("ROLE", "PROCESS", "LAST BEAT", "ALIVE"), rows)]
        ok = switch["position"] != "unreadable" and leader is not None
        self.emit({"ok": ok, **document}, text="\n".join(lines))
        return EXIT_OK if ok else EXIT_DEGRADED

    def _tick(self) -> int:
        loop = Loop(holder=beats.name_of("tick"), probe=HostProbe())
        try:
            report = loop.tick(clock.now())
        finally:
            loop.resign()
        if not report.leader:
            self.emit({"ok": False, **asdict(report)}, text="Somebody else leads; nothing was done.")
            return EXIT_CONFLICT
        text = (
            f"{report.evaluated} evaluated, {report.decisions_stored} decisions stored, {report.planned} planned, "
            f"{report.swept} swept, {report.troubles} in trouble, {report.seconds * 1000:.0f} ms"
        )
        self.emit({"ok": True, **asdict(report)}, text=text)
        return EXIT_OK


def _counts(values: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(values.items())) or "none"
