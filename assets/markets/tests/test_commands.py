"""The commands, as an operator or a script meets them."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import call_command

from assets.markets.models import CalendarDay, Candle
from assets.markets.testkit.bars import make_instrument, walk

from .conftest import START
from .test_importer import lines_of, write

pytestmark = pytest.mark.django_db


def run(capsys, *arguments: str) -> tuple[int, dict]:
    try:
        call_command(*arguments, "--json")
        code = 0
    except SystemExit as stop:
        code = stop.code
    return code, json.loads(capsys.readouterr().out)


def test_import_counts_and_exit_codes(tmp_path, capsys):
    make_instrument()
    good = write(tmp_path / "TESTUSDT_1m.csv", lines_of(walk(50, start=START)))
    code, document = run(capsys, "import_candles", str(good))
    assert code == 0 and document["ok"] and document["totals"]["inserted"] == 50
    bad_row = write(tmp_path / "TESTUSDT_1m_b.csv", [*lines_of(walk(50, start=START)), "x"])
    code, document = run(capsys, "import_candles", str(bad_row))
    assert code == 3 and document["totals"] == {
        "rows": 51,
        "inserted": 0,
        "updated": 0,
        "unchanged": 50,
        "rejected": 1,
    }
    assert document["files"][0]["problems"] == [{"line": 52, "reason": "unparsable"}]


def test_a_refused_file_does_not_stop_the_others_and_the_code_says_so(tmp_path, capsys):
    make_instrument()
    (tmp_path / "TESTUSDT_1m_0.csv").write_text("hello\n")
    write(tmp_path / "TESTUSDT_1m_1.csv", lines_of(walk(50, start=START)))
    (tmp_path / "notes.txt").write_text("not a candle file")
    code, document = run(capsys, "import_candles", str(tmp_path))
    assert code == 1 and not document["ok"]
    assert len(document["failed"]) == 1 and document["failed"][0]["line"] == 1
    assert Candle.objects.count() == 50


def test_a_file_that_does_not_exist_is_not_found(tmp_path, capsys):
    code, document = run(capsys, "import_candles", str(tmp_path / "TESTUSDT_1m.csv"))
    assert code == 4 and document["failed"][0]["code"] == "no-such-file"
    bad = tmp_path / "TESTUSDT_1m_0.csv"
    bad.write_text("hello\n")
    assert run(capsys, "import_candles", str(bad), str(tmp_path / "TESTUSDT_1m.csv"))[0] == 1


def test_the_closed_hours_of_christmas_are_no_gap(tmp_path, capsys):
    make_instrument("EURUSD", asset_type="forex", calendar="fx-week", timeframe="1h")
    start = datetime(2014, 12, 24, 12, tzinfo=UTC)
    bars = [start + timedelta(hours=n) for n in range(58) if not 10 <= n < 34]  # closed 22:00 to 22:00
    lines = [f"{at.isoformat()},1.2,1.2003,1.1997,1.2,10" for at in bars]
    code, document = run(capsys, "import_candles", str(write(tmp_path / "EURUSD_1h.csv", lines)))
    assert code == 0, document
    code, document = run(capsys, "candles", "gaps", "--instrument", "EURUSD")
    assert code == 0 and document["missing"] == 0


def test_options_win_over_the_name(tmp_path, capsys):
    make_instrument()
    path = write(tmp_path / "data.csv", lines_of(walk(20, start=START)))
    assert run(capsys, "import_candles", str(path))[0] == 1
    code, _ = run(capsys, "import_candles", str(path), "--instrument", "TESTUSDT", "--timeframe", "1m")
    assert code == 0 and Candle.objects.filter(timeframe="1m").count() == 20
    assert run(capsys, "import_candles", str(path), "--instrument", "TESTUSDT", "--timeframe", "9m")[0] == 1


def test_gaps_are_listed(tmp_path, capsys):
    make_instrument()
    lines = lines_of(walk(50, start=START))
    run(capsys, "import_candles", str(write(tmp_path / "TESTUSDT_1m.csv", lines[:20] + lines[25:])))
    code, document = run(capsys, "candles", "gaps", "--instrument", "TESTUSDT", "--timeframe", "1m")
    assert code == 3 and document["missing"] == 5
    assert document["gaps"][0]["from"] == (START + timedelta(minutes=20)).isoformat()
    code, document = run(capsys, "candles", "gaps", "--timeframe", "1h")
    assert code == 0 and document == {"ok": True, "gaps": [], "missing": 0}
    assert run(capsys, "candles", "gaps", "--instrument", "NOPE")[0] == 4


def test_calendars_are_stored_by_name_and_an_unknown_one_is_refused(capsys):
    code, document = run(capsys, "sync_calendars", "--calendar", "XNYS")
    assert code == 0 and document["calendars"][0]["days"] == CalendarDay.objects.count() > 8000
    assert str(CalendarDay.objects.earliest("day").day) == "1993-01-04"
    assert run(capsys, "sync_calendars", "--calendar", "XXXX")[0] == 4
