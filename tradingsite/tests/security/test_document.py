"""docs/security.md names every check and only proofs that exist."""

from __future__ import annotations

import re
from pathlib import Path

from django.conf import settings

ROOT = Path(settings.BASE_DIR)
ROWS = re.findall(
    r"^\| (S\d\d) \| (.+?) \| (.+?) \| (.*?) ?\|$", (ROOT / "docs" / "security.md").read_text("utf-8"), re.M
)


def test_all_sixty_four_checks_have_a_proof_or_a_reason() -> None:
    assert [row[0] for row in ROWS] == [f"S{number:02}" for number in range(1, 65)]
    assert [code for code, _text, proof, reason in ROWS if proof == "–" and len(reason) < 20] == []


def test_every_test_named_there_exists() -> None:
    named = [proof for row in ROWS for proof in re.findall(r"`([^`]+)`", row[2])]
    missing = []
    for proof in named:
        path, _colons, name = proof.partition("::")
        if path.startswith("make "):
            found = f"{path.removeprefix('make ')}:" in (ROOT / "Makefile").read_text("utf-8")
        else:
            file = ROOT / path
            found = file.is_file() and (not name or f"def {name}(" in file.read_text("utf-8"))
        if not found:
            missing.append(proof)
    assert len(named) > 90 and missing == []
