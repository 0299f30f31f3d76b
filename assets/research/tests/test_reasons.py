"""Every reason a strategy may give has a sentence, and no sentence lacks a number."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.conf import settings

from assets.trading import reasons

STRATEGIES = sorted((Path(settings.BASE_DIR) / "assets").glob("*/strategy.py"))


def codes(path: Path) -> set[str]:
    text = path.read_text(encoding="utf-8")
    named = re.findall(r'code="([a-z_]+)"', text)
    constants = re.findall(r'^(?:BUY|REBALANCE), (?:BUY|REBALANCE) = "([a-z_]+)", "([a-z_]+)"', text, re.M)
    passed = re.findall(r'"((?:rebalance|momentum|volume|liquidity|spread)_[a-z]+)"', text)
    return {*named, *passed, *(code for pair in constants for code in pair)}


@pytest.mark.parametrize("path", STRATEGIES, ids=lambda path: path.parent.name)
def test_every_code_of_a_strategy_has_a_sentence(path: Path) -> None:
    found = codes(path)
    assert len(found) >= 5
    for code in found:
        assert reasons.sentence({"code": code, "value": 1.0}) != "" and code in reasons._texts, code


def test_a_reason_reads_as_a_sentence_with_its_numbers() -> None:
    stored = {"code": "stop_hit", "value": -0.0312, "params": {"stop_ratio": 0.03}}
    assert reasons.sentence(stored) == "The stop at 3 % was reached: −3.12 % since the entry."


def test_an_unknown_number_is_a_question_mark_and_an_unknown_code_its_name() -> None:
    assert reasons.sentence({"code": "drawdown", "value": None}) == "The price is ? % from its recent high."
    assert reasons.sentence({"code": "made_up", "value": 1.0}) == "made up"


def test_a_stored_reason_without_its_params_falls_back_to_its_code() -> None:
    assert reasons.sentence({"code": "stop_hit", "value": 1.0, "params": {}}) == "stop hit"


def test_one_code_cannot_mean_two_things() -> None:
    with pytest.raises(ValueError, match="stop_hit"):
        reasons.register({"stop_hit": "something else"})
