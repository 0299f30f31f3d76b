"""Properties of the wire: what is written is read back exactly, and nothing that is broken is ever read as something."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simplefix import FixMessage

from assets.markets.feeds.fix.codec import (
    Framer,
    Message,
    Unreadable,
    decode,
    encode,
    read_number,
    read_time,
    write_number,
    write_time,
)
from assets.markets.feeds.fix.symbols import from_venue, to_venue
from assets.trading.brokers.fix import messages as fix

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x01"), min_size=1, max_size=30)
# Tags of the header and trailer, and of lengths of raw data, are not the body's to use.
TAGS = st.sampled_from([1, 11, 37, 38, 44, 55, 58, 60, 103, 112, 523, 803, 9017, 9051])
BODIES = st.lists(st.tuples(TAGS, TEXTS), max_size=12)
KINDS = st.sampled_from(["0", "8", "D", "AE", "BA", "j"])
NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**18), max_value=10**18, places=12)
TIMES = st.integers(0, 253_000_000_000_000_000).map(
    lambda us: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)
)


def body(message: Message) -> list[tuple[int, str]]:
    return [(tag, value) for tag, value in message.pairs if tag not in (8, 9, 35, 10)]


@given(KINDS, BODIES)
def test_what_is_encoded_is_decoded(kind: str, pairs: list[tuple[int, str]]) -> None:
    found = decode(encode(kind, pairs))
    assert found.kind == kind and body(found) == pairs


@given(KINDS, BODIES, st.sampled_from(["", "a\x01b", "1\x0135=D"]))
def test_a_value_cannot_break_out_of_its_field(kind: str, pairs: list[tuple[int, str]], evil: str) -> None:
    with pytest.raises(ValueError):
        encode(kind, [*pairs, (58, evil)])


@given(st.lists(st.tuples(KINDS, BODIES), max_size=5), st.lists(st.integers(1, 40), min_size=1), st.data())
def test_messages_come_out_of_any_pieces(
    rows: list[tuple[str, list[tuple[int, str]]]], sizes: list[int], data: st.DataObject
) -> None:
    stream, framer, found, at, n = b"".join(encode(kind, pairs) for kind, pairs in rows), Framer(), [], 0, 0
    while at < len(stream):
        size = sizes[n % len(sizes)]
        found += framer.feed(stream[at : at + size])
        at, n = at + size, n + 1
    assert [(row.kind, body(row)) for row in found] == rows and framer.garbled == 0


@given(KINDS, BODIES, st.integers(0), st.integers(1, 255))
def test_a_message_with_one_wrong_byte_is_left_out_and_the_next_is_read(
    kind: str, pairs: list[tuple[int, str]], where: int, change: int
) -> None:
    frame = bytearray(encode(kind, pairs))
    frame[where % len(frame)] ^= change
    framer = Framer()
    found = framer.feed(bytes(frame) + encode("0", [(112, "next")]) + encode("0", [(112, "over")]))
    assert [row.get(112) for row in found if row.kind == "0"][-1] == "over"
    assert all(body(row) != pairs or row.kind != kind for row in found[:-2]) and framer.garbled


@given(st.binary(max_size=200))
def test_noise_is_never_a_message_and_never_stops_the_next(noise: bytes) -> None:
    framer = Framer()
    good = encode("0", [(112, "x")])
    assert [row.get(112) for row in framer.feed(noise + b"\x01" + good)][-1:] == ["x"]


@pytest.mark.parametrize(
    "wrong",
    [
        b"8=FIX.4.2\x019=5\x0135=0\x0110=161\x01",
        b"8=FIX.4.4\x019=9999999\x0135=0\x01",
        b"8=FIX.4.4\x019=900\x0135=0\x01",
    ],
)
def test_another_version_and_an_endless_length_are_passed_over(wrong: bytes) -> None:
    framer = Framer()
    assert [row.kind for row in framer.feed(wrong + encode("0", []) + encode("1", [(112, "t")]))][-1] == "1"


@pytest.mark.parametrize("pairs", [[("x", "1")], [("58", "")], [("95", "900"), ("96", "short")]])
def test_sound_frames_with_broken_fields_are_left_out(pairs: list[tuple[str, str]]) -> None:
    text = b"35=8\x01" + b"".join(f"{tag}={value}\x01".encode() for tag, value in pairs)
    head = b"8=FIX.4.4\x019=%d\x01" % len(text) + text
    framer = Framer()
    assert framer.feed(head + b"10=%03d\x01" % (sum(head) % 256)) == [] and framer.garbled == 1


@given(KINDS, BODIES)
def test_what_simplefix_writes_is_read_and_the_other_way_round(
    kind: str, pairs: list[tuple[int, str]]
) -> None:
    theirs = FixMessage()
    for tag, value in [(8, "FIX.4.4"), (35, kind), *pairs]:
        theirs.append_pair(tag, value)
    assert theirs.encode() == encode(kind, pairs)
    assert [body(row) for row in Framer().feed(theirs.encode())] == [pairs]


# --- Values -----------------------------------------------------------------------------------------------------


@given(NUMBERS)
def test_numbers_are_exact_both_ways(number: Decimal) -> None:
    assert read_number(write_number(number)) == number and "E" not in write_number(number)


@pytest.mark.parametrize(
    "text", ["1e5", "1E-3", "NaN", "Infinity", "", "1,5", "٣", " 1", "+1", "--1", ".", "9" * 61]
)
def test_what_fix_does_not_call_a_number_is_none(text: str) -> None:
    with pytest.raises(Unreadable):
        read_number(text)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_is_never_sent(number: str) -> None:
    with pytest.raises(ValueError):
        write_number(Decimal(number))


@given(TIMES)
def test_times_come_back_to_the_millisecond(at: datetime) -> None:
    assert timedelta(0) <= at - read_time(write_time(at)) < timedelta(milliseconds=1)
    assert read_time(write_time(at)).tzinfo is UTC


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("20260228-23:59:60", datetime(2026, 3, 1, tzinfo=UTC)),
        ("20240229-01:02:03", datetime(2024, 2, 29, 1, 2, 3, tzinfo=UTC)),
        ("20240229-01:02:03.4", datetime(2024, 2, 29, 1, 2, 3, 400_000, UTC)),
        ("20240229-01:02:03.123456789", datetime(2024, 2, 29, 1, 2, 3, 123_456, UTC)),
    ],
)
def test_times_of_any_precision_are_read(text: str, at: datetime) -> None:
    assert read_time(text) == at


@pytest.mark.parametrize(
    "text", ["", "20260229-00:00:00", "20260101-24:00:00", "2026-01-01", "20260101-00:00:00Z"]
)
def test_what_is_no_time_is_not_guessed(text: str) -> None:
    with pytest.raises(Unreadable):
        read_time(text)


def test_a_time_without_zone_is_not_sent() -> None:
    with pytest.raises(ValueError):
        write_time(datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point


@given(st.from_regex(r"[A-Z]{6}", fullmatch=True))
def test_pairs_are_renamed_both_ways(symbol: str) -> None:
    assert from_venue(to_venue(symbol)) == symbol and to_venue(symbol)[3] == "/"


@given(
    st.text(max_size=8).filter(
        lambda text: not (len(text) == 6 and text.isascii() and text.isalpha() and text.isupper())
    )
)
def test_what_is_no_pair_is_not_sent(symbol: str) -> None:
    with pytest.raises(ValueError):
        to_venue(symbol)


@given(
    NUMBERS.filter(lambda n: n > 0),
    st.none() | NUMBERS.filter(lambda n: n > 0),
    st.sampled_from(["buy", "sell"]),
    TIMES,
)
def test_an_order_is_read_as_it_was_meant(
    quantity: Decimal, limit: Decimal | None, side: str, now: datetime
) -> None:
    fields = fix.new_order(
        account="1", client_id="ts1", symbol="EURUSD", side=side, quantity=quantity, limit=limit, now=now
    )
    found = decode(encode("D", fields))
    assert (found.number(38), found.get(54), found.get(55)) == (
        quantity,
        "1" if side == "buy" else "2",
        "EUR/USD",
    )
    assert (found.number(44) if limit is not None else None) == limit and found.get(40) == (
        "1" if limit is None else "2"
    )


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=6, unique_by=lambda row: row[0]))
def test_parameters_are_read_from_their_group(rows: list[tuple[str, str]]) -> None:
    pairs = [field for name, value in rows for field in ((9017, name), (9018, value))]
    assert fix.read_parameters(decode(encode("h", pairs))) == dict(rows)
