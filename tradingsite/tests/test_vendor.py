"""Browser libraries: only what is on the list is published, without dangling source maps."""

from pathlib import Path

import polib
import pytest
from django.contrib.staticfiles import finders
from django.core.management import CommandError, call_command
from pytest_django import Settings

from tradingsite import vendor
from tradingsite.management.commands import vendor as command


@pytest.fixture
def modules(tmp_path: Path, settings: Settings) -> Path:
    settings.NODE_MODULES = tmp_path
    for package in vendor.PACKAGES:
        (tmp_path / package).mkdir(parents=True)
        (tmp_path / package / "package.json").write_text('{"version": "1.2.3", "license": "MIT"}')
        (tmp_path / package / "LICENSE.md").write_text(f"Licence of {package}")
    for name in vendor.FILES:
        path = vendor.path_of(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"code();\n//# sourceMappingURL=code.js.map")
    return tmp_path


def test_published_files_lose_their_source_map_comment(modules: Path) -> None:
    published = {name: storage.open(name).read() for name, storage in vendor.VendorFinder().list([])}
    assert set(published) == set(vendor.FILES)
    assert set(published.values()) == {b"code();"}


def test_a_file_that_is_not_on_the_list_is_not_found(modules: Path) -> None:
    (modules / "chart.js" / "secret.js").write_text("x")
    finder = vendor.VendorFinder()
    assert finder.find("vendor/chart.js") == str(vendor.path_of("vendor/chart.js"))
    assert finder.find("chart.js/secret.js") == []
    assert finder.find("vendor/../chart.js/secret.js", find_all=True) == []


def test_a_missing_library_is_left_out_and_reported(modules: Path) -> None:
    vendor.path_of("vendor/chart.js").unlink()
    finder = vendor.VendorFinder()
    assert "vendor/chart.js" not in dict(finder.list([]))
    assert finder.find("vendor/chart.js") == []
    assert [warning.id for warning in finder.check()] == ["tradingsite.W001"]


def test_the_notices_carry_every_licence_and_the_attribution(modules: Path) -> None:
    text = vendor.write_notices().read_text()
    assert "Charts by TradingView" in text
    assert all(f"{name} 1.2.3 (MIT)" in text and f"Licence of {name}" in text for name in vendor.PACKAGES)


def test_the_finder_is_the_one_the_site_uses() -> None:
    assert isinstance(finders.get_finder("tradingsite.vendor.VendorFinder"), vendor.VendorFinder)


def test_without_any_npm_the_command_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command.shutil, "which", lambda name: None)
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CommandError, match="requirements-build.txt"):
        command.npm_command()


def test_translations_are_compiled_without_gettext_tools(tmp_path: Path, settings: Settings) -> None:
    folder = tmp_path / "fr" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    catalogue = polib.POFile()
    catalogue.metadata = {"Content-Type": "text/plain; charset=utf-8"}
    catalogue.append(polib.POEntry(msgid="Stop trading", msgstr="Arrêter le trading"))
    catalogue.save(str(folder / "django.po"))
    settings.LOCALE_PATHS = [tmp_path]
    settings.BASE_DIR = tmp_path  # only this catalogue, not those of the apps
    call_command("compile_translations", verbosity=0)
    compiled = polib.mofile(str(folder / "django.mo"))
    assert [(entry.msgid, entry.msgstr) for entry in compiled] == [("Stop trading", "Arrêter le trading")]
