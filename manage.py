#!/usr/bin/env python3
"""Command line of the site: `python manage.py help` lists everything it can do."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tradingsite.settings.dev")
    try:
        from django.core.management import execute_from_command_line
    except ImportError as e:
        raise SystemExit("Django is not installed here. Run: make setup") from e
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
