"""Candle files as blocks of arrays: CSV (plain or gzip) and Parquet, streamed.

A clean block goes through pyarrow at full speed. A block with a bad line is read again line by line, so that every bad
line is known by its number and the lines around it are kept.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final, cast

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from assets.markets.series import Bars, Floats, Ints, bars_of
from tradingsite.foundation.errors import Invalid, NotFound

_BLOCK: Final = 2 << 20  # bytes of text, about 30,000 candles
_LONGEST_LINE: Final = 1 << 16
_MAGIC_GZIP: Final = b"\x1f\x8b"
_MAGIC_PARQUET: Final = b"PAR1"
_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "timestamp": ("timestamp", "time", "date", "datetime", "open_time", "opentime", "open time", "ts", "t"),
    "open": ("open", "o"),
    "high": ("high", "h"),
    "low": ("low", "l"),
    "close": ("close", "c"),
    "volume": ("volume", "v", "vol", "base_volume"),
}
FIELDS: Final = tuple(_NAMES)
_NULLS: Final = ["", "nan", "NaN", "NAN", "null", "NULL", "None", "NA", "N/A"]


class FileRefused(Invalid):
    """The file as a whole is wrong; nothing of it was stored. `detail["line"]` says where, the message why."""

    default_code = "file-refused"

    def __init__(self, reason: str, *, line: int | None = None) -> None:
        super().__init__(f"Line {line}: {reason}" if line is not None else reason, line=line)
        self.line = line


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is no candle."""

    line: int
    raw: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """Some rows of a file. `lines` has the line (Parquet: row) number of each bar; `done` is how much was read."""

    bars: Bars
    lines: Ints
    bad: list[BadLine] = field(default_factory=list)
    done: float = 0.0  # 0..1


@dataclass(frozen=True, kw_only=True, slots=True)
class _Layout:
    names: list[str]  # one for each column
    columns: list[int]  # positions of FIELDS
    delimiter: str
    has_header: bool
    time_type: Any  # Arrow type of the first column


def read(path: Path) -> Iterator[Block]:
    """Blocks of the file in its own order. Raises FileRefused before the first block when the file is unusable.

    A compressed file is read to its end once before: a truncated one must not be stored by half.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except FileNotFoundError as e:
        raise NotFound(f"There is no file {path}.", code="no-such-file") from e
    except OSError as e:
        raise FileRefused(f"{path.name} cannot be read: {e.strerror}.") from e
    if not magic:
        raise FileRefused(f"{path.name} is empty.", line=1)
    if magic == _MAGIC_PARQUET:
        return _read_parquet(path)
    is_gzip = magic.startswith(_MAGIC_GZIP)
    if path.suffix == ".gz" and not is_gzip:
        raise FileRefused(f"{path.name} is not a gzip file, though its name says so.")
    if is_gzip:
        _check_gzip(path)
    return _read_csv(path, is_gzip)


def _check_gzip(path: Path) -> None:
    try:
        with gzip.open(path, "rb") as stream:
            while stream.read(_BLOCK):
                pass
    except (EOFError, OSError, zlib.error) as e:
        raise FileRefused(f"{path.name} is not a complete gzip file: {e}.") from e


# --- CSV --------------------------------------------------------------------------------------------------------


def _read_csv(path: Path, is_gzip: bool) -> Iterator[Block]:
    size = path.stat().st_size
    with path.open("rb") as raw:
        stream = cast(IO[bytes], gzip.GzipFile(fileobj=raw) if is_gzip else raw)
        rest = stream.read(_BLOCK)
        layout = _layout(rest, path.name)
        line, rest = (1, _after_first_line(rest)) if layout.has_header else (0, rest)
        is_last = False
        while not is_last:
            more = stream.read(_BLOCK)
            is_last = not more
            text = rest + more
            cut = len(text) if is_last else text.rfind(b"\n") + 1
            text, rest = text[:cut], text[cut:]
            if len(rest) > _LONGEST_LINE + _BLOCK:
                raise FileRefused("the line is too long for a candle", line=line + 1)
            if text:
                block = _parse(text, layout, line, raw.tell() / size)
                line += text.count(b"\n")
                yield block


def _after_first_line(text: bytes) -> bytes:
    return text[text.find(b"\n") + 1 :] if b"\n" in text else b""


def _layout(text: bytes, name: str) -> _Layout:
    """What the first lines say about columns. Raises FileRefused with line 1."""
    start = text[:_LONGEST_LINE]
    if b"\x00" in start:
        raise FileRefused(f"{name} is not text.", line=1)
    lines = start.decode("utf-8-sig", errors="replace").splitlines()
    if not lines:
        raise FileRefused(f"{name} is empty.", line=1)
    delimiter = max(",;\t", key=lines[0].count)
    first = _cells(lines[0], delimiter)
    has_header = not _is_number(first[1] if len(first) > 1 else "x")
    columns = _positions(first) if has_header else _positional(first)
    body = lines[1:] if has_header else lines
    sample = next(
        (cells for cells in (_cells(line, delimiter) for line in body[:50]) if len(cells) > columns[0]), []
    )
    return _Layout(
        names=[f"c{index}" for index in range(len(first))],
        columns=columns,
        delimiter=delimiter,
        has_header=has_header,
        time_type=_time_type(sample[columns[0]].strip() if sample else ""),
    )


def _cells(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line], delimiter=delimiter), [])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _positions(header: Sequence[str]) -> list[int]:
    names = [name.strip().strip('"').lower() for name in header]
    found = {
        wanted: next((names.index(alias) for alias in aliases if alias in names), None)
        for wanted, aliases in _NAMES.items()
    }
    missing = [name for name, index in found.items() if index is None]
    if missing:
        raise FileRefused(
            f"the columns {', '.join(FIELDS)} are needed; missing: {', '.join(missing)}; "
            f"found: {', '.join(name[:20] for name in names[:12])}",
            line=1,
        )
    return [index for index in found.values() if index is not None]


def _positional(first: Sequence[str]) -> list[int]:
    """Files of exchanges have no header: opening time, open, high, low, close, volume and more."""
    if len(first) < len(FIELDS):
        raise FileRefused(
            f"{len(FIELDS)} columns are needed ({', '.join(FIELDS)}), found {len(first)}", line=1
        )
    return list(range(len(FIELDS)))


def _time_type(sample: str) -> Any:
    if _is_number(sample):
        return pa.int64() if sample.lstrip("+-").isdigit() else pa.float64()
    has_zone = sample.endswith(("Z", "z")) or "+" in sample[10:] or "-" in sample[10:]
    return pa.timestamp("us", tz="UTC") if has_zone else pa.timestamp("us")


def _parse(text: bytes, layout: _Layout, line: int, done: float) -> Block:
    """Lines `line + 1` and following."""
    rows = text.count(b"\n") + (not text.endswith(b"\n"))
    try:
        table = _arrow(text, layout)
    except pa.ArrowInvalid:
        return _line_by_line(text, layout, line, done)
    if table.num_rows != rows:  # Arrow leaves empty lines out; then the numbers of the others are not known
        return _line_by_line(text, layout, line, done)
    columns = [table.column(layout.names[index]) for index in layout.columns]
    return Block(bars=_bars(columns), lines=np.arange(line + 1, line + 1 + rows, dtype=np.int64), done=done)


def _arrow(text: bytes, layout: _Layout) -> Any:
    wanted = [layout.names[index] for index in layout.columns]
    types = dict.fromkeys(wanted[1:], pa.float64()) | {wanted[0]: layout.time_type}
    return pacsv.read_csv(
        io.BytesIO(text),
        read_options=pacsv.ReadOptions(
            column_names=layout.names, block_size=len(text) + 1, use_threads=False
        ),
        parse_options=pacsv.ParseOptions(delimiter=layout.delimiter),
        convert_options=pacsv.ConvertOptions(
            include_columns=wanted, column_types=types, null_values=_NULLS, check_utf8=False
        ),
    )


def _bars(columns: Sequence[Any]) -> Bars:
    """Arrow columns in the order of FIELDS as bars. A missing number becomes NaN, a missing time impossible."""
    prices = [_floats(column) for column in columns[1:]]
    return Bars(
        ts=_times(columns[0]),
        open=prices[0],
        high=prices[1],
        low=prices[2],
        close=prices[3],
        volume=prices[4],
    )


def _floats(column: Any) -> Floats:
    values = column.to_numpy()
    return np.ascontiguousarray(values, dtype=np.float64)


_NO_TIME: Final = 1 << 60


def _times(column: Any) -> Ints:
    if pa.types.is_timestamp(column.type):
        unit = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[column.type.unit]
        return _int_times(column.cast(pa.int64())) // unit
    return epoch_seconds(_int_times(column))


def _int_times(column: Any) -> Ints:
    if column.null_count:
        column = column.fill_null(_NO_TIME)
    values = column.to_numpy()
    if values.dtype.kind == "f":
        values = np.where(np.isfinite(values), values, _NO_TIME)
    return np.asarray(values).astype(np.int64)


def epoch_seconds(values: Ints) -> Ints:
    """Seconds from seconds, milliseconds, microseconds or nanoseconds: their sizes leave no doubt after 1973."""
    size = np.abs(values)
    scale = np.select([size < 10**11, size < 10**14, size < 10**17], [1, 10**3, 10**6], 10**9)
    return np.where(size >= _NO_TIME, values, values // scale)


def _line_by_line(text: bytes, layout: _Layout, line: int, done: float) -> Block:
    rows: list[tuple[float, ...]] = []
    lines: list[int] = []
    bad: list[BadLine] = []
    for number, raw in enumerate(text.split(b"\n"), start=line + 1):
        content = raw.decode("utf-8", errors="replace").rstrip("\r")
        if not content.strip():
            continue
        row = _row(content, layout)
        if row is None:
            bad.append(BadLine(number, content))
        else:
            rows.append(row)
            lines.append(number)
    return Block(bars=bars_of(rows), lines=np.asarray(lines, dtype=np.int64), bad=bad, done=done)


def _row(content: str, layout: _Layout) -> tuple[float, ...] | None:
    """A candle, or None when the line is none. An empty or NaN cell is a missing number: the gate refuses it."""
    try:
        cells = _cells(content, layout.delimiter)
    except csv.Error:
        return None
    if len(cells) != len(layout.names):
        return None
    try:
        return (_time(cells[layout.columns[0]]), *(_number(cells[index]) for index in layout.columns[1:]))
    except (ValueError, OverflowError):
        return None


def _number(cell: str) -> float:
    cell = cell.strip()
    return float("nan") if cell in _NULLS else float(cell)


def _time(cell: str) -> float:
    """Epoch seconds of an ISO time (without a zone it is UTC) or of an epoch number. Raises ValueError."""
    cell = cell.strip()
    if _is_number(cell):
        return float(epoch_seconds(np.asarray([int(float(cell))], dtype=np.int64))[0])
    at = datetime.fromisoformat(cell)
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp() // 1


# --- Parquet ----------------------------------------------------------------------------------------------------


def _read_parquet(path: Path) -> Iterator[Block]:
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as e:
        raise FileRefused(f"{path.name} is not a Parquet file: {e}.") from e
    names = list(file.schema_arrow.names)
    wanted = [names[index] for index in _positions(names)]
    total = max(1, file.metadata.num_rows)
    row = 0
    try:
        for batch in file.iter_batches(batch_size=50_000, columns=wanted):
            columns = [_numeric(batch.column(name), index) for index, name in enumerate(wanted)]
            lines = np.arange(row + 1, row + 1 + batch.num_rows, dtype=np.int64)
            row += batch.num_rows
            yield Block(bars=_bars(columns), lines=lines, done=row / total)
    except (pa.ArrowInvalid, OSError) as e:
        raise FileRefused(f"{path.name} is damaged: {e}.", line=row + 1) from e


def _numeric(column: Any, index: int) -> Any:
    """A Parquet column as times (index 0) or floats. Raises FileRefused when its type cannot be read as that."""
    if index == 0 and (pa.types.is_timestamp(column.type) or pa.types.is_integer(column.type)):
        return column
    try:
        if index == 0 and (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            return column.cast(pa.timestamp("us", tz="UTC"))
        return column.cast(pa.int64() if index == 0 else pa.float64(), safe=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as e:
        raise FileRefused(f"the column {FIELDS[index]} has the type {column.type}: {e}.") from e
