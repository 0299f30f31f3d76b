"""The French catalogue is complete: nothing untranslated, nothing fuzzy, every place kept, every text of the source in it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import polib
from django.conf import settings
from django.core.management import call_command

from tradingsite.foundation.testkit import tool_missing

CATALOGUE = Path(settings.BASE_DIR) / "locale" / "fr" / "LC_MESSAGES" / "django.po"
PLACE = re.compile(r"%\([a-z_]+\)[sdf]")
IGNORED = ("node_modules", ".venv", "var", "static-collected", "tests")


def entries() -> list[Any]:
    return [entry for entry in polib.pofile(str(CATALOGUE)) if not entry.obsolete]


def test_nothing_is_untranslated_or_fuzzy() -> None:
    assert [entry.msgid for entry in entries() if not entry.translated() or "fuzzy" in entry.flags] == []


def test_every_place_of_a_text_is_in_its_translation() -> None:
    wrong = []
    for entry in entries():
        for text in [entry.msgstr] if not entry.msgid_plural else entry.msgstr_plural.values():
            if set(PLACE.findall(text)) - set(PLACE.findall(entry.msgid + entry.msgid_plural)):
                wrong.append(entry.msgid)
            elif not entry.msgid_plural and set(PLACE.findall(text)) != set(PLACE.findall(entry.msgid)):
                wrong.append(entry.msgid)
    assert wrong == []


def test_french_punctuation_does_not_start_a_line() -> None:
    texts = [text for entry in entries() for text in (entry.msgstr, *entry.msgstr_plural.values())]
    assert [text for text in texts if re.search(r" [:;?!»]", text)] == []


def test_every_text_of_the_source_is_in_the_catalogue(tmp_path: Path, monkeypatch: Any) -> None:
    if shutil.which("xgettext") is None:
        tool_missing("gettext is not installed")
    # In a directory of links: the command writes next to where it runs.
    for name in ("tradingsite", "orchestrator", "assets", "templates"):
        (tmp_path / name).symlink_to(Path(settings.BASE_DIR) / name)
    (tmp_path / "locale" / "fr" / "LC_MESSAGES").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    call_command("makemessages", locale=["fr"], ignore_patterns=list(IGNORED), symlinks=True, verbosity=0)
    found = polib.pofile(str(tmp_path / "locale" / "fr" / "LC_MESSAGES" / "django.po"))
    known = {(entry.msgctxt, entry.msgid) for entry in entries()}
    assert len(found) > 500
    assert [entry.msgid for entry in found if (entry.msgctxt, entry.msgid) not in known] == []


def test_our_words_follow_the_glossary() -> None:
    words = {entry.msgid: entry.msgstr for entry in entries() if entry.msgctxt is None}
    glossary = {
        "Workflow": "Flux",
        "Run": "Exécution",
        "Paper": "Simulation",
        "paper": "simulation",
        "live": "réel",
    }
    assert {key: words[key] for key in glossary} == glossary
