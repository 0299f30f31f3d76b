"""Compile translations without the gettext tools: `locale/*/LC_MESSAGES/*.po` to `.mo`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polib
from django.apps import apps
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError


def _sources() -> Iterator[Path]:
    roots = [Path(path) for path in settings.LOCALE_PATHS]
    base = Path(settings.BASE_DIR)
    own_apps = (Path(app.path) for app in apps.get_app_configs())
    roots += [path / "locale" for path in own_apps if path.is_relative_to(base) and ".venv" not in path.parts]
    for root in roots:
        yield from sorted(root.glob("*/LC_MESSAGES/*.po"))


class Command(BaseCommand):
    help = "Compile the translations (.po to .mo); needs no gettext tools."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        count = 0
        for source in _sources():
            try:
                catalogue = polib.pofile(str(source), check_for_duplicates=True)
            except (OSError, ValueError) as e:
                raise CommandError(f"{source.name} of {source.parent.parent.name}: {e}") from e
            catalogue.save_as_mofile(str(source.with_suffix(".mo")))
            count += 1
        self.stdout.write(f"{count} translation catalogues compiled.")
