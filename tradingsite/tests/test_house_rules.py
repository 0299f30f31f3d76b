"""Rules of the house that no linter knows."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from tradingsite.settings.catalogue import VARIABLES, table
from tradingsite.settings.queue import LANES

ROOT = Path(settings.BASE_DIR)
PACKAGES = ("tradingsite", "orchestrator", "assets")
ASSET_TYPES = ("meme_coins", "crypto_lt", "forex", "etf")
GENERIC_ROOMS = (
    "orchestrator",
    "tradingsite/foundation",
    "assets/quant",
    "assets/markets",
    "assets/trading",
    "assets/research",
)
MAX_LINES = 400
BIG_FILE_BYTES = 300_000


def python_files(*folders: str, tests: bool = False) -> Iterator[Path]:
    """Our Python files in `folders`, without migrations and (by default) without tests and their kits."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).parts
            if "migrations" in parts:
                continue
            if not tests and ("tests" in parts or path.stem in ("testkit", "conftest")):
                continue
            yield path


def tracked_files() -> list[str]:
    """What git tracks or would add; an export without history has nothing to compare."""
    answer = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.stdout.splitlines()


def string_literals(path: Path) -> Iterator[tuple[int, str]]:
    """Every string of a module except its docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value


def test_the_rooms_below_the_asset_types_do_not_know_their_names() -> None:
    name = re.compile(r"\b(" + "|".join(ASSET_TYPES) + r")\b", re.IGNORECASE)
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text!r}"
        for path in python_files(*GENERIC_ROOMS)
        for line, text in string_literals(path)
        if name.search(text)
    ]
    assert not found, "\n".join(found)


def test_no_module_is_longer_than_a_room_allows() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in python_files(*PACKAGES, tests=True)
    }
    assert len(lengths) > 20
    too_long = {name: count for name, count in lengths.items() if count > MAX_LINES}
    assert not too_long


def test_nothing_third_party_is_tracked() -> None:
    foreign = re.compile(r"(^|/)(node_modules|site-packages)/|\.min\.(js|css)$|(^|/)static/vendor/")
    tracked = tracked_files()
    assert not [name for name in tracked if foreign.search(name)]
    big = [
        name for name in tracked if (ROOT / name).is_file() and (ROOT / name).stat().st_size > BIG_FILE_BYTES
    ]
    assert not big


def test_no_tracked_file_names_a_registry_or_a_directory_of_one_machine() -> None:
    # Put together here so that this file does not find itself.
    hosts = r"(?:pypi|pythonhost\w*|npmjs)[.](?:org|com)\b"
    paths = ["/ro" + "ot/", "/wo" + "rk/main", "/wo" + "rk/shared"]
    pattern = re.compile("|".join([hosts, *map(re.escape, paths)]))
    found = []
    for name in tracked_files():
        path = ROOT / name
        if path.is_file() and path.stat().st_size < BIG_FILE_BYTES:
            text = path.read_text(encoding="utf-8", errors="ignore")
            found += [f"{name}: {hit.group()}" for hit in pattern.finditer(text)]
    assert not found, "\n".join(found)


def test_the_lock_file_of_the_browser_libraries_pins_hashes_and_no_hosts() -> None:
    text = (ROOT / "package-lock.json").read_text(encoding="utf-8")
    assert '"resolved"' not in text
    assert text.count('"integrity": "sha512-') == text.count('"node_modules/')


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt", "requirements-build.txt"])
def test_every_requirement_is_pinned_with_hashes(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    pins = [line for line in text.splitlines() if re.match(r"^[a-z0-9]", line)]
    assert pins
    assert all(re.match(r"^[a-z0-9._-]+(\[[a-z0-9,._-]+\])?==[^ ]+ .*\\$", line) for line in pins)
    assert "://" not in text and "--index" not in text
    assert text.count("--hash=sha256:") >= len(pins)


def test_the_readme_shows_the_two_commands_and_every_variable() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "make run" in readme and "make test" in readme
    missing = [row for row in table() if row not in readme]
    assert not missing, "python -m tradingsite.settings.catalogue prints the table"
    unknown = sorted(set(re.findall(r"`(TRADING_[A-Z_]+)`", readme)) - set(VARIABLES))
    assert not unknown


def test_the_gate_runs_the_command_of_the_readme() -> None:
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_there_are_exactly_two_lanes() -> None:
    assert LANES == ("trading", "maintenance")
    assert set(settings.Q_CLUSTER["ALT_CLUSTERS"]) == set(LANES)


def test_an_asset_type_is_one_line_in_the_settings() -> None:
    for name in ASSET_TYPES:
        assert settings.INSTALLED_APPS.count(f"assets.{name}") == 1
    text = (ROOT / "tradingsite" / "settings" / "base.py").read_text(encoding="utf-8")
    assert all(text.count(name) == 1 for name in ASSET_TYPES)
