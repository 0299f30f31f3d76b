#!/usr/bin/env python3
"""Command line of the site: `python manage.py help` lists everything it can do."""

import json
import os
import sys
from typing import Any


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tradingsite.settings.dev")
    try:
        import django.core.management  # noqa: F401 - whether it is there
    except ImportError as e:
        raise SystemExit("Django is not installed here. Run: make setup") from e
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured

    try:
        settings.INSTALLED_APPS  # noqa: B018 - reads the settings: a wrong variable is told in one sentence
    except ImproperlyConfigured as error:
        if "--traceback" in sys.argv:
            raise
        _refuse("configuration", str(error))
    _utility().execute()


def _utility() -> Any:
    """Django's own, but a wrong name is a wrong call (2) with the name that was meant."""
    from difflib import get_close_matches

    from django.core.management import ManagementUtility, get_commands

    class Utility(ManagementUtility):
        def fetch_command(self, subcommand: str) -> Any:
            known = get_commands()
            if subcommand in known:
                return super().fetch_command(subcommand)
            close = get_close_matches(subcommand, known, n=1)
            hint = f" Did you mean {close[0]}?" if close else ""
            _refuse("usage", f"There is no command {subcommand}.{hint} manage.py help lists all.")
            return None

    return Utility(sys.argv)


def _refuse(code: str, detail: str) -> None:
    """Say it in one sentence, as JSON when asked for, and leave with the code of a wrong call."""
    if "--json" in sys.argv:
        problem = {"code": code, "status": 400, "detail": detail}
        sys.stdout.write(json.dumps({"ok": False, "problem": problem}, indent=2) + "\n")
    else:
        sys.stderr.write(f"{detail}\n")
    raise SystemExit(2)


if __name__ == "__main__":
    main()
