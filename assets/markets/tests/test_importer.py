"""Files: streamed, judged with line numbers, idempotent, all or nothing when the file is wrong."""

import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assets.markets import filenames, files
from assets.markets.files import FileRefused
from assets.markets.models import Candle, Instrument, PriceSide, RejectedCandle
from assets.markets.services import importer
from assets.markets.testkit.bars import make_instrument, walk
from tradingsite.foundation.testkit import shared_data

from .conftest import START

pytestmark = pytest.mark.django_db

HEADER = "timestamp,open,high,low,close,volume"


def lines_of(bars, stamp=lambda ts: str(np.datetime64(ts, "s")) + "Z") -> list[str]:
    return [",".join([stamp(row[0]), *(repr(value) for value in row[1:])]) for row in bars.rows()]


def write(path: Path, lines: list[str], header: str = HEADER) -> Path:
    text = "\n".join([header, *lines] if header else lines) + "\n"
    if path.name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode(), mtime=0))
    else:
        path.write_text(text)
    return path


@pytest.fixture
def instrument():
    return make_instrument()


@pytest.mark.parametrize(
    ("name", "stamp"),
    [
        ("TESTUSDT_1m.csv", lambda ts: str(np.datetime64(ts, "s")) + "Z"),
        ("TESTUSDT_1m.csv.gz", lambda ts: str(np.datetime64(ts, "s")).replace("T", " ")),
        ("TESTUSDT_1m_a.csv", lambda ts: str(np.datetime64(ts, "s")) + "+00:00"),
        ("TESTUSDT_1m_b.csv", str),
        ("TESTUSDT_1m_c.csv", lambda ts: str(ts * 1000)),
        ("TESTUSDT_1m_d.csv", lambda ts: f"{ts}.0"),
    ],
)
def test_every_way_to_write_a_time_gives_the_same_bars(instrument, tmp_path, name, stamp):
    bars = walk(300, start=START)
    report = importer.import_file(write(tmp_path / name, lines_of(bars, stamp)))
    assert (report.rows, report.stored.inserted, report.stored.rejected) == (300, 300, {})
    assert list(Candle.objects.order_by("open_ts").values_list("open_ts", flat=True)) == bars.ts.tolist()


def test_importing_again_changes_nothing(instrument, tmp_path):
    path = write(tmp_path / "TESTUSDT_1m.csv.gz", [*lines_of(walk(500, start=START)), "nonsense,1,2"])
    first, second = importer.import_file(path), importer.import_file(path)
    assert (first.stored.inserted, first.stored.rejected) == (500, {"unparsable": 1})
    assert (second.stored.inserted, second.stored.updated, second.stored.unchanged) == (0, 0, 500)
    assert RejectedCandle.objects.count() == 1


def test_bad_lines_are_kept_with_their_number_and_the_rest_is_imported(instrument, tmp_path):
    lines = lines_of(walk(200, start=START))
    lines[10] = "2024-03-04T00:10:00Z,1,2"
    lines[20] = lines[20].replace(",", ",abc", 1)
    lines[30] = "2024-03-04T00:30:00Z,nan,1,1,1,1"
    lines.insert(50, "")
    report = importer.import_file(write(tmp_path / "TESTUSDT_1m.csv", lines))
    assert report.stored.inserted == 197
    assert report.stored.rejected == {"unparsable": 2, "nan": 1}
    kept = dict(RejectedCandle.objects.values_list("line", "reason"))
    assert kept == {12: "unparsable", 22: "unparsable", 32: "nan"}
    assert RejectedCandle.objects.get(line=12).raw == "2024-03-04T00:10:00Z,1,2"


def test_columns_may_have_other_names_and_places(instrument, tmp_path):
    rows = [f"x,{c},{low},{h},{o},{ts * 1000},{v}" for ts, o, h, low, c, v in walk(20, start=START).rows()]
    importer.import_file(
        write(tmp_path / "TESTUSDT_1m.csv", rows, "note,Close,LOW,high,Open,open_time,Volume")
    )
    assert Candle.objects.count() == 20


def test_a_file_of_an_exchange_has_no_header(instrument, tmp_path):
    rows = [
        f"{ts * 1000},{o},{h},{low},{c},{v},{ts * 1000 + 59999},1,2,3,4,0"
        for ts, o, h, low, c, v in walk(20, start=START).rows()
    ]
    importer.import_file(write(tmp_path / "TESTUSDT_1m.csv", rows, ""))
    assert Candle.objects.count() == 20


def test_parquet_gives_the_same_bars(instrument, tmp_path):
    bars = walk(300, start=START)
    table = {name: getattr(bars, name) for name in ("open", "high", "low", "close", "volume")}
    table["date"] = pa.array(bars.ts * 1000, pa.timestamp("ms", tz="UTC"))
    pq.write_table(pa.table(table), tmp_path / "TESTUSDT_1m.parquet")
    report = importer.import_file(tmp_path / "TESTUSDT_1m.parquet")
    assert (report.stored.inserted, report.stored.rejected) == (300, {})


@pytest.mark.parametrize(
    ("content", "line", "part"),
    [
        (b"", 1, "empty"),
        (b"a,b,c\n1,2,3\n", 1, "missing: timestamp"),
        (b"\x00\x01\x02\x03binary", 1, "not text"),
        (b"timestamp,open,high,low,close,volume\n", 1, "no candles"),
        (b"timestamp,open,high,low,close,volume\n" + b"x,y\n" * 9, 2, "unparsable"),
        (b"timestamp,open,high,low,close,volume\n2024-03-04T00:00:30Z,1,1,1,1,1\n", 2, "misaligned"),
        (b"PAR1 and nothing else", None, "not a Parquet file"),
        (
            gzip.compress(
                b"timestamp,open,high,low,close,volume\n" + b"1704067200,1,1,1,1,1\n" * 999, mtime=0
            )[:-40],
            None,
            "gzip",
        ),
    ],
)
def test_a_wrong_file_is_refused_with_line_and_reason_and_leaves_nothing(
    instrument, tmp_path, content, line, part
):
    path = tmp_path / "TESTUSDT_1m.csv"
    path.write_bytes(content)
    with pytest.raises(FileRefused) as refusal:
        importer.import_file(path)
    assert refusal.value.line == line
    assert part in refusal.value.message
    assert not Candle.objects.exists() and not RejectedCandle.objects.exists()


def test_a_truncated_archive_of_many_good_rows_leaves_nothing(instrument, tmp_path):
    path = write(tmp_path / "TESTUSDT_1m.csv.gz", lines_of(walk(3000, start=START)))
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(FileRefused):
        importer.import_file(path)
    assert not Candle.objects.exists()


@pytest.mark.parametrize("block", [400, 1 << 20])
def test_f36_duplicates_and_disorder_inside_a_file_do_not_matter_also_across_blocks(
    instrument, tmp_path, monkeypatch, block
):
    monkeypatch.setattr(files, "_BLOCK", block)
    bars = walk(400, start=START)
    lines = lines_of(bars)
    mess = [lines[i] for i in np.random.default_rng(1).permutation(400)] + lines[:50]
    conflict = lines[7].rsplit(",", 1)[0] + ",99999.0"
    path = write(tmp_path / "TESTUSDT_1m.csv", [*mess, conflict])
    first, second = importer.import_file(path), importer.import_file(path)
    assert (first.stored.inserted, first.stored.unchanged, first.stored.rejected) == (
        400,
        50,
        {"duplicate": 1},
    )
    assert (second.stored.inserted, second.stored.updated, second.stored.unchanged) == (0, 0, 450)
    assert Candle.objects.get(open_ts=int(bars.ts[7])).volume == bars.volume[7]


def test_names_say_symbol_timeframe_and_side():
    def parse(name):
        found = filenames.parse(Path("/data/toy") / name)
        return found.symbol, found.timeframe, found.side, found.folder

    assert parse("BTCUSDT_1m_202104.csv.gz") == ("BTCUSDT", "1m", PriceSide.TRADE, "toy")
    assert parse("EURUSD_1h_fxcmbid.csv.gz") == ("EURUSD", "1h", PriceSide.BID, "toy")
    assert parse("EURUSD_1m_201405fxcmask.csv") == ("EURUSD", "1m", PriceSide.ASK, "toy")
    assert parse("BRK-B_1d.parquet") == ("BRK-B", "1d", PriceSide.TRADE, "toy")
    assert parse("readme.csv") == ("", "", PriceSide.TRADE, "toy")


def test_an_unknown_instrument_of_a_known_type_is_made(toy_universe, tmp_path):
    folder = tmp_path / "toy"
    folder.mkdir()
    path = write(folder / "NEWUSDT_1m.csv", lines_of(walk(20, start=START)))
    importer.import_file(path)
    made = Instrument.objects.get(symbol="NEWUSDT")
    assert (made.asset_type, made.base, made.quote, made.calendar) == ("toy", "NEW", "USDT", "24x7")


def test_an_unknown_instrument_of_an_unknown_type_is_refused(tmp_path):
    path = write(tmp_path / "NEWUSDT_1m.csv", lines_of(walk(20, start=START)))
    with pytest.raises(FileRefused, match="not an asset type"):
        importer.import_file(path)
    assert not Instrument.objects.filter(symbol="NEWUSDT").exists()


def test_real_files_of_every_type_are_accepted_to_the_last_row():
    root = shared_data()
    names = (
        "crypto_lt/ETHUSDT_4h",
        "meme_coins/SHIBUSDT_1d",
        "etf/SPY_1m_2019",
        "forex/EURUSD_1d_fxcm",
        "forex/EURUSD_4h",
    )
    for name in names:
        path = root / f"{name}.csv.gz"
        symbol = path.name.split("_")[0]
        calendar = {"forex": "fx-week", "etf": "XNYS"}.get(name.split("/")[0], "24x7")
        row = Instrument.objects.filter(symbol=symbol).first() or make_instrument(symbol, calendar=calendar)
        report = importer.import_file(path, instrument=row)
        assert report.stored.inserted == report.rows > 1000, (name, report.stored.rejected)


def test_what_is_called_gz_and_is_none_is_told_so(instrument, tmp_path):
    path = tmp_path / "EURUSD_1m.csv.gz"
    path.write_bytes(bytes(range(256)) * 8)
    with pytest.raises(FileRefused, match="EURUSD_1m.csv.gz is not a gzip file"):
        list(files.read(path))
