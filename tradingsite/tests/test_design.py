"""The visual system keeps its promises: contrast, no inline style or script, no foreign address."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.conf import settings

ROOT = Path(settings.BASE_DIR)
TOKENS = (ROOT / "static" / "css" / "tokens.css").read_text(encoding="utf-8")
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))


def palette(selector: str) -> dict[str, str]:
    block = TOKENS.split(selector + " {", 1)[1].split("}", 1)[0]
    return dict(re.findall(r"--([a-z0-9-]+):\s*(#[0-9a-f]{6})", block))


LIGHT = palette(":root")
DARK = {**LIGHT, **palette(':root[data-theme="dark"]')}


def luminance(colour: str) -> float:
    channels = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("ink", ["text", "muted", "accent", "up", "down", "warn", "live"])
@pytest.mark.parametrize("ground", ["page", "surface", "raised", "hover"])
def test_words_are_readable_on_every_ground(theme: dict[str, str], ink: str, ground: str) -> None:
    assert contrast(theme[ink], theme[ground]) >= 4.5


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_words_are_readable_on_soft_grounds_and_buttons(theme: dict[str, str]) -> None:
    pairs = [
        ("text", "ok-soft"),
        ("text", "bad-soft"),
        ("text", "warn-soft"),
        ("down", "bad-soft"),
        ("warn", "warn-soft"),
    ]
    pairs += [
        ("accent", "accent-soft"),
        ("accent-ink", "accent"),
        ("muted", "quiet-soft"),
        ("muted", "sunken"),
    ]
    assert [(ink, ground) for ink, ground in pairs if contrast(theme[ink], theme[ground]) < 4.5] == []


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_controls_have_a_visible_border(theme: dict[str, str]) -> None:
    assert contrast(theme["control"], theme["surface"]) >= 3


def test_the_two_dark_palettes_are_the_same() -> None:
    by_system = palette(':root[data-theme="system"]')
    assert by_system == palette(':root[data-theme="dark"]')


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_template_breaks_the_policy(path: Path) -> None:
    html = path.read_text(encoding="utf-8")
    assert not re.search(r"\sstyle=|<style|\son[a-z]+=\"|javascript:|hx-on|\bjs:", html)
    assert not re.search(r"<script(?![^>]*\bsrc=)", html)
    assert not re.search(r"\|safe\b|autoescape off", html)
    foreign = re.findall(r"(?:src|href)=\"https?://[^\"]+", html)
    assert [url for url in foreign if "www.tradingview.com" not in url] == []


def test_scripts_stay_small() -> None:
    own = sum(path.stat().st_size for path in (ROOT / "static" / "js").glob("*.js"))
    assert own < 40_000
