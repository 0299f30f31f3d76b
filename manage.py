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
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured

    try:
        settings.INSTALLED_APPS  # noqa: B018 - reads the settings: a wrong variable is told in one sentence
    except ImproperlyConfigured as error:
        if "--traceback" in sys.argv:
            raise
        sys.stderr.write(f"{error}\n")
        raise SystemExit(2) from None
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
