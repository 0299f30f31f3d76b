"""The base of our management commands: one document on standard output, stable exit codes, errors as problems.

Exit codes: 0 ok, 1 failure, 2 usage, 3 degraded or differences found, 4 not found, 5 refused by safety, 6 conflict,
75 temporary (try again), 130 interrupted. With --json standard output carries exactly one JSON document, also on
failure: {"ok": false, "problem": {...}}. Progress and logs go to standard error.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import sys
import traceback
from argparse import ArgumentParser
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, InterfaceError

from . import audit
from .errors import DomainError, Invalid

EXIT_OK = 0
EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_DEGRADED = 3
EXIT_NOT_FOUND = 4
EXIT_REFUSED = 5
EXIT_CONFLICT = 6
EXIT_TEMPORARY = 75
EXIT_INTERRUPTED = 130


class JsonCommand(BaseCommand):
    """Subclasses implement `run(options) -> exit code` and print with `emit`."""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.add_argument("--json", action="store_true", dest="as_json", help="print one JSON document")
        return parser

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Subclasses add their own."""

    def run(self, options: dict[str, Any]) -> int:
        raise NotImplementedError

    def run_from_argv(self, argv: list[str]) -> None:
        """A wrong call with --json is told in the same shape as every other failure."""
        if "--json" in argv:
            self._called_from_command_line = True  # the parser leaves with a code instead of raising
            said = io.StringIO()
            try:
                with contextlib.redirect_stderr(said):
                    self.create_parser(argv[0], argv[1]).parse_args(argv[2:])
            except SystemExit as stop:
                if stop.code == EXIT_USAGE:
                    detail = said.getvalue().strip().rpartition("error: ")[2]
                    problem = {"code": "usage", "status": 400, "detail": detail}
                    self.stdout.write(to_json({"ok": False, "problem": problem}))
                raise
        super().run_from_argv(argv)

    def handle(self, *args: Any, **options: Any) -> None:
        self._as_json = bool(options.get("as_json"))
        try:
            code = self.run(options)
        except DomainError as e:
            code = self._problem(problem_of(e), e.exit_code, options)
        except CommandError as e:
            code = self._problem({"code": "failed", "detail": str(e)}, e.returncode, options)
        except (DatabaseError, InterfaceError) as e:
            if lacks_tables(e):
                detail = "The database has no tables for this yet. Run: make setup"
                raise SystemExit(self._problem({"code": "not-set-up", "detail": detail}, 1, options)) from e
            detail = f"The database does not answer: {str(e).strip() or type(e).__name__}"
            code = self._problem({"code": "unavailable", "detail": detail}, EXIT_TEMPORARY, options)
        except KeyboardInterrupt:
            code = self._problem(
                {"code": "interrupted", "detail": "Interrupted; the state is consistent."},
                EXIT_INTERRUPTED,
                options,
            )
        except BrokenPipeError:
            # The reader has seen enough. Point stdout elsewhere so that closing it does not fail again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = EXIT_OK
        if code:
            raise SystemExit(code)

    def emit(self, document: Any, *, text: str = "") -> None:
        """The document with --json, else the text for people (the document itself when there is none)."""
        if self._as_json or not text:
            self.stdout.write(to_json(document))
        else:
            self.stdout.write(text)

    def note(self, text: str) -> None:
        """Progress and remarks: never on standard output."""
        self.stderr.write(text)

    def actor(self) -> audit.Actor:
        """Whoever is at the command line."""
        return audit.cli(os.environ.get("USER", "") or f"uid {os.getuid()}")

    def _problem(self, problem: dict[str, Any], code: int, options: Mapping[str, Any]) -> int:
        if options.get("traceback"):
            traceback.print_exc()
        if self._as_json:
            self.stdout.write(to_json({"ok": False, "problem": problem}))
        else:
            self.stderr.write(self.style.ERROR(str(problem["detail"])))
            for error in problem.get("errors", ()):
                if error["detail"] not in problem["detail"]:
                    self.stderr.write(f"  {error['pointer']}: {error['detail']}")
        return code or EXIT_FAILURE


def lacks_tables(error: BaseException) -> bool:
    """Whether the database was never migrated (or not as far as this code)."""
    text = str(error)
    return "no such table" in text or ("relation " in text and "does not exist" in text)


def problem_of(error: DomainError) -> dict[str, Any]:
    """The error as a problem document (the shape the API answers with)."""
    problem: dict[str, Any] = {"code": error.code, "status": error.status, "detail": error.message}
    if isinstance(error, Invalid) and error.errors:
        problem["errors"] = list(error.errors)
    if error.detail:
        problem["context"] = error.detail
    return problem


def to_json(document: Any) -> str:
    """JSON for machines: times in ISO 8601 UTC, decimals as strings, never NaN (null instead)."""
    return json.dumps(_plain(document), indent=2, ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return _plain(value.value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return _text_of(value)


def _text_of(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return value.total_seconds()
    return str(value)  # decimals, dates, translated texts


def table(headers: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Left-aligned columns, two spaces apart; None shows as "-"."""
    cells = [[("-" if cell is None else str(cell)) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [list(headers), *cells]) for i in range(len(headers))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [list(headers), *cells]
    ]
    return "\n".join(lines)
