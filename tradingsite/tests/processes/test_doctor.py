"""`manage.py doctor` on systems that lack something."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from tradingsite.foundation import clock
from tradingsite.management import doctor
from tradingsite.management.bootstrap import bootstrap

pytestmark = pytest.mark.django_db


@pytest.fixture
def examine(settings: Any, tmp_path: Path) -> Callable[[], dict[str, doctor.Diagnosis]]:
    settings.VAR_DIR, settings.HALT_FILE, settings.TRADING_FEED = tmp_path, tmp_path / "HALT", "simulated"
    tmp_path.chmod(0o700)
    return lambda: {item.name: item for item in doctor.examine(clock.now())}


def test_a_fresh_installation_is_off_and_in_order(examine: Callable[[], dict[str, doctor.Diagnosis]]) -> None:
    bootstrap(clock.now())
    found = examine()
    assert {name: item.state for name, item in found.items() if item.state != "ok"} == {
        "switch": "off", "processes": "off", "feed simulated": "off",
    }  # fmt: skip
    assert found["processes"].fix == "make run"


def test_a_halt_file_is_named_with_the_way_to_remove_it(
    examine: Callable[[], dict[str, doctor.Diagnosis]], settings: Any
) -> None:
    Path(settings.HALT_FILE).touch()
    assert (examine()["halt"].state, examine()["halt"].fix[-12:]) == ("warning", "--clear-halt")


def test_keys_that_others_can_read_are_an_error(
    examine: Callable[[], dict[str, doctor.Diagnosis]], tmp_path: Path
) -> None:
    key = tmp_path / "secret.key"
    key.write_text("x")
    key.chmod(0o644)
    assert examine()["var"].state == "error"
    assert str(key) in examine()["var"].fix


def test_missing_calendar_days_are_a_warning(examine: Callable[[], dict[str, doctor.Diagnosis]]) -> None:
    from assets.markets.models import CalendarDay

    bootstrap(clock.now())
    CalendarDay.objects.all().delete()
    assert examine()["calendars"].state == "warning"


def test_the_command_says_what_to_do_and_leaves_with_three(
    examine: Callable[[], dict[str, doctor.Diagnosis]], settings: Any
) -> None:
    Path(settings.HALT_FILE).touch()
    out = StringIO()
    with pytest.raises(SystemExit) as left:
        call_command("doctor", "--json", stdout=out)
    assert left.value.code == 3
    document = json.loads(out.getvalue())
    assert document["ok"] is False
    assert [item["name"] for item in document["checks"]][:2] == ["python", "dependencies"]
    text = StringIO()
    with pytest.raises(SystemExit):
        call_command("doctor", stdout=text)
    assert "To do:" in text.getvalue()
