"""Browser libraries: an allow-list of files out of node_modules, published as static `vendor/...`.

Nothing third-party is committed. `package-lock.json` pins each package by hash, `manage.py vendor` fetches
them, and only the files named here reach a browser.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.contrib.staticfiles.finders import BaseFinder
from django.core.checks import CheckMessage, Warning
from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage

NOTICES: Final = "vendor/NOTICES.txt"

# Public name -> path under node_modules.
FILES: Final[dict[str, str]] = {
    "vendor/chart.js": "chart.js/dist/chart.umd.min.js",
    "vendor/lightweight-charts.js": "lightweight-charts/dist/lightweight-charts.standalone.production.js",
    "vendor/pico.css": "@picocss/pico/css/pico.min.css",
    "vendor/pico.classless.css": "@picocss/pico/css/pico.classless.min.css",
    NOTICES: "NOTICES.txt",
}

# Packages whose code is inside the files above (bundled dependencies included).
PACKAGES: Final = ("chart.js", "@kurkle/color", "lightweight-charts", "fancy-canvas", "@picocss/pico")

_ATTRIBUTION: Final = (
    "Charts by TradingView: TradingView Lightweight Charts(TM), Copyright (c) TradingView, Inc. "
    "https://www.tradingview.com/\n"
)


def path_of(name: str) -> Path:
    """Where the public file `name` lies. Raises KeyError for a name that is not on the list."""
    return Path(settings.NODE_MODULES) / FILES[name.replace("\\", "/")]


def missing() -> list[str]:
    """Public names whose file has not been fetched yet."""
    return [name for name in FILES if not path_of(name).is_file()]


def without_source_map(data: bytes) -> bytes:
    """Drop `sourceMappingURL` comments: the maps are not published, and hashed storage refuses dangling names."""
    return b"\n".join(line for line in data.split(b"\n") if b"sourceMappingURL=" not in line)


def write_notices() -> Path:
    """Write the licence texts of everything we publish next to the packages and return the file's path."""
    modules = Path(settings.NODE_MODULES)
    parts = [_ATTRIBUTION]
    for package in PACKAGES:
        manifest = json.loads((modules / package / "package.json").read_text(encoding="utf-8"))
        parts.append(f"{'=' * 78}\n{package} {manifest['version']} ({manifest['license']})\n")
        texts = sorted((modules / package).glob("LICEN[SC]E*")) + sorted((modules / package).glob("NOTICE*"))
        parts.extend(text.read_text(encoding="utf-8").strip() + "\n" for text in texts)
    path = modules / FILES[NOTICES]
    path.write_text("\n".join(parts), encoding="utf-8")
    return path


class VendorStorage(FileSystemStorage):
    """Reads the published files under their public names; read-only."""

    prefix = ""

    def path(self, name: str) -> str:
        return str(path_of(name))

    def _open(self, name: str, mode: str = "rb") -> File[Any]:
        return ContentFile(without_source_map(path_of(name).read_bytes()), name=name)


class VendorFinder(BaseFinder):
    """Finds the published files. What is missing is left out, and a system check says how to fetch it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.storage = VendorStorage()

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        absent = missing()
        if not absent:
            return []
        text = f"Browser libraries are missing ({', '.join(absent)}): charts will show as tables."
        return [Warning(text, hint="Run: python manage.py vendor", id="tradingsite.W001")]

    def find(self, path: str, find_all: bool = False, **kwargs: Any) -> Any:
        found = str(path_of(path)) if path in FILES and path_of(path).is_file() else None
        if find_all or kwargs.get("all"):
            return [found] if found else []
        return found or []

    def list(self, ignore_patterns: Any) -> Iterator[Any]:
        absent = set(missing())
        for name in FILES:
            if name not in absent:
                yield name, self.storage
