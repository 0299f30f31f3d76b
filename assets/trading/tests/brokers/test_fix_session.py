"""The FIX session: numbers, gaps, heartbeats, logon and logout, one login at a time, TLS. An order is never sent again."""

from __future__ import annotations

import datetime as dt
import fcntl
import ipaddress
import os
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from assets.markets.feeds.fix import line
from assets.markets.feeds.fix.session import Login
from assets.trading.brokers.base import Accepted, Rejected, Unknown
from assets.trading.brokers.fxcm import FxcmBroker
from assets.trading.tests.brokers import fxcm_desk
from assets.trading.tests.brokers.desk import make, place, request_of
from assets.trading.tests.brokers.fxcm_desk import TIMING, FxcmDesk
from assets.trading.tests.brokers.suite import unavailable
from assets.trading.tests.venues.fxcm import PASSWORD, SUB, USER, Fault, FxcmVenue
from tradingsite.foundation import clock
from tradingsite.foundation.errors import Unavailable

pytestmark = pytest.mark.django_db
venue, desk = fxcm_desk.venue, fxcm_desk.desk


# --- Logging on -------------------------------------------------------------------------------------------------


def test_one_session_serves_many_brokers_of_the_process(desk: FxcmDesk) -> None:
    place(desk, limit="50")
    again = FxcmBroker(
        desk.account, login=Login(user=USER, password=PASSWORD), endpoint=desk.endpoint(), timing=TIMING
    )
    again.open_orders(), again.balances(), desk.broker.clock_offset()
    (logon,) = desk.venue.of_kind("A")
    assert (logon[34], logon[141], logon[553], logon[108]) == ("1", "Y", USER, "30")


def test_every_message_names_the_sub_id_and_counts_up(desk: FxcmDesk) -> None:
    order = place(desk, limit="50")
    desk.broker.fetch_order(order.client_id), desk.broker.permissions(), desk.broker.clock_offset()
    line.close_all()
    assert {found[57] for found in desk.venue.received} == {SUB}
    assert [int(found[34]) for found in desk.venue.received] == list(range(1, len(desk.venue.received) + 1))
    assert desk.venue.received[-1][35] == "5"


def test_threads_share_the_session(desk: FxcmDesk) -> None:
    offsets: list[dt.timedelta] = []
    threads = [threading.Thread(target=lambda: offsets.append(desk.broker.clock_offset())) for _ in range(8)]
    [thread.start() for thread in threads], [thread.join(20) for thread in threads]
    assert len(offsets) == 8 and len(desk.venue.of_kind("A")) == 1


def test_a_refused_logon_is_said_without_the_password_and_not_repeated(desk: FxcmDesk) -> None:
    broker = desk.other(password="not-the-password")
    answer = broker.place(request_of(make(desk)))
    assert isinstance(answer, Rejected) and answer.code == "not_connected" and "refused" in answer.message
    with pytest.raises(Unavailable) as caught:
        broker.balances()
    assert "not-the-password" not in answer.message + caught.value.message
    assert len(desk.venue.of_kind("A")) == 1  # again at once might lock the account


def test_after_a_while_a_refused_logon_is_tried_again(desk: FxcmDesk) -> None:
    desk.venue.faults.append(Fault("A", "answer", [(35, "5"), (58, "server is being restarted")]))
    broker = desk.other(after_refusal_s=0.0)
    unavailable(broker.balances)
    assert broker.balances()


@pytest.mark.parametrize("what", ["cut_before", "silent"])
def test_without_an_answer_to_the_logon_no_order_leaves(desk: FxcmDesk, what: str) -> None:
    desk.venue.faults.append(Fault("A", what))
    desk.broker = desk.other(answer_s=0.3)
    answer = desk.broker.place(request_of(make(desk)))
    assert isinstance(answer, Rejected) and answer.code == "not_connected"
    assert isinstance(desk.broker.place(request_of(make(desk))), Accepted)
    assert len(desk.venue.of_kind("D")) == 1


def test_nobody_listening_is_a_rejection_because_nothing_left(desk: FxcmDesk, unused_port: int) -> None:
    broker = FxcmBroker(
        desk.account, login=Login(user=USER, password=PASSWORD), endpoint=desk.endpoint(port=unused_port), timing=TIMING
    )  # fmt: skip
    answer = broker.place(request_of(make(desk)))
    assert isinstance(answer, Rejected) and answer.code == "not_connected"
    unavailable(broker.open_orders)


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


# --- One login at a time ----------------------------------------------------------------------------------------


def stranger(venue: FxcmVenue, desk: FxcmDesk) -> FxcmBroker:
    """Somebody with the same login on another machine: no lock of ours knows of him."""
    login, timing = Login(user=USER, password=PASSWORD), TIMING
    broker = FxcmBroker(desk.account, login=login, endpoint=desk.endpoint(), timing=timing)
    broker._line = line.Line(
        desk.endpoint(), login, timing, Path(str(desk.broker._line._lock_path) + ".other")
    )
    return broker


def test_a_login_in_use_elsewhere_is_unavailable(venue: FxcmVenue, desk: FxcmDesk) -> None:
    other = stranger(venue, desk)
    other.balances()
    with pytest.raises(Unavailable, match="this login is in use"):
        desk.broker.balances()
    answer = desk.broker.place(request_of(make(desk)))
    assert isinstance(answer, Rejected) and not venue.of_kind("D")
    other._line.close()


def test_being_kicked_in_the_middle_of_an_order_is_unknown(venue: FxcmVenue, desk: FxcmDesk) -> None:
    desk.broker.balances()
    venue.second_login = "kick"
    venue.faults.append(Fault("D", "silent"))
    other = stranger(venue, desk)
    kicker = threading.Thread(target=lambda: (venue.wait_for("D"), other._line.ready()))
    kicker.start()
    answer = desk.broker.place(request_of(make(desk, limit="50")))
    kicker.join(10)
    assert isinstance(answer, Unknown) and "logged on elsewhere" in answer.reason
    other._line.close()


def test_another_process_of_ours_is_waited_for_and_not_kicked(venue: FxcmVenue, desk: FxcmDesk) -> None:
    path = desk.broker._line._lock_path
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with pytest.raises(Unavailable, match="another process of ours"):
        desk.broker.balances()
    assert not venue.received
    os.close(handle)
    assert desk.broker.balances()


def test_an_unused_session_is_left_and_the_next_call_logs_on_again(venue: FxcmVenue, desk: FxcmDesk) -> None:
    order = place(desk, limit="50")
    session = desk.broker._line._session
    assert session is not None
    session._used_at -= TIMING.linger_s  # as if so long had passed
    venue.wait_for("5")
    assert desk.broker.fetch_order(order.client_id) is not None
    assert [found[34] for found in venue.of_kind("A")] == ["1", "1"]


def test_a_child_process_does_not_use_the_parents_session(
    desk: FxcmDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.broker.balances()
    mine = desk.broker._line
    twin = line.Line(desk.endpoint(), Login(user=USER, password=PASSWORD), TIMING, mine._lock_path)
    twin.pid = os.getpid() + 1
    monkeypatch.setitem(line._lines, next(key for key, row in line._lines.items() if row is mine), twin)
    fresh = FxcmBroker(
        desk.account, login=Login(user=USER, password=PASSWORD), endpoint=desk.endpoint(), timing=TIMING
    )
    assert fresh._line is not twin and fresh._line.pid == os.getpid()
    assert desk.broker.balances()
    mine.close()


# --- Numbers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("last", ["0", "2", "999"])
def test_when_the_venue_asks_again_for_an_order_it_is_told_to_go_on(desk: FxcmDesk, last: str) -> None:
    order = place(desk, limit="50")
    sent = len(desk.venue.received)
    desk.venue.line().send("2", [(7, 1), (16, last)])
    reset = desk.venue.wait_for("4")
    assert (reset[34], reset[123], reset[43]) == ("1", "Y", "Y") and reset[122]
    assert int(reset[36]) == (3 if last == "2" else sent + 1)
    assert desk.broker.fetch_order(order.client_id) is not None
    assert len(desk.venue.of_kind("D")) == desk.truth("accepted", order.client_id) == 1


@pytest.mark.parametrize("first", ["0", "999"])
def test_a_request_for_what_was_never_sent_is_not_answered(desk: FxcmDesk, first: str) -> None:
    place(desk, limit="50")
    desk.venue.line().send("2", [(7, first), (16, 0)])
    desk.broker.clock_offset()
    assert not desk.venue.of_kind("4")


def test_a_gap_is_asked_for_once_and_what_came_early_is_kept(desk: FxcmDesk) -> None:
    order = place(desk, limit="50")
    there = desk.venue.line()
    lost = there.out
    there.send("0", fault="gap")
    assert desk.broker.fetch_order(order.client_id) is not None
    asked = desk.venue.of_kind("2")
    assert [(found[7], found[16]) for found in asked] == [(str(lost), str(lost))]


def test_a_request_to_resend_in_a_gap_is_answered_before_the_gap_is_closed(desk: FxcmDesk) -> None:
    place(desk, limit="50")
    there = desk.venue.line()
    there.send("0", fault="gap")
    there.send("2", [(7, 1), (16, 0)])
    desk.venue.wait_for("4"), desk.venue.wait_for("2")
    desk.broker.clock_offset()
    assert len(desk.venue.of_kind("4")) == 1


def test_a_gap_that_is_never_closed_ends_the_session(desk: FxcmDesk) -> None:
    desk.broker = desk.other(answer_s=0.3)
    desk.venue.faults.append(Fault("2", "ignore", times=99))
    order = place(desk, limit="50")
    desk.venue.line().send("0", fault="gap")
    unavailable(lambda: desk.broker.fetch_order(order.client_id))
    assert any(_or_none(desk, order.client_id) for _ in range(3))
    assert len(desk.venue.of_kind("A")) == 2


def test_a_number_that_is_too_low_without_possdup_ends_it(desk: FxcmDesk) -> None:
    desk.broker.balances()
    there = desk.venue.line()
    with there.lock:
        there.write(there.encode("0", [], 1))
    told = desk.venue.wait_for("5")
    assert "too low" in told[58]
    assert desk.broker.balances() and len(desk.venue.of_kind("A")) == 2


def test_an_old_report_with_possdup_is_ignored(desk: FxcmDesk) -> None:
    order = place(desk, limit="50")
    there = desk.venue.line()
    there.resend(1, 0)
    assert desk.broker.fetch_order(order.client_id) is not None and desk.broker.open_orders()
    assert not desk.venue.of_kind("5")
    assert not desk.venue.of_kind("2") and len(desk.venue.of_kind("A")) == 1


def test_a_reset_moves_on_and_one_backwards_ends_it(desk: FxcmDesk) -> None:
    desk.broker.balances()
    there = desk.venue.line()
    there.send("4", [(36, 500)])
    there.out = 500
    desk.broker.balances()
    assert len(desk.venue.of_kind("A")) == 1 and not desk.venue.of_kind("2")
    there.send("4", [(36, 3)])
    unavailable(desk.broker.balances)
    assert desk.broker.balances() and len(desk.venue.of_kind("A")) == 2


@pytest.mark.parametrize("pairs", [[(49, "SOMEBODY"), (56, "fx-user_client1")], [(49, "FXCM"), (56, "else")]])
def test_a_message_of_or_for_somebody_else_ends_it(desk: FxcmDesk, pairs: list[tuple[int, str]]) -> None:
    from simplefix import FixMessage

    desk.broker.balances()
    there = desk.venue.line()
    message = FixMessage()
    for tag, value in [(8, "FIX.4.4"), (35, "0"), (34, there.out), *pairs, (52, "20260101-00:00:00")]:
        message.append_pair(tag, value)
    there.out += 1
    there.write(message.encode())
    unavailable(desk.broker.balances)
    assert desk.broker.balances() and len(desk.venue.of_kind("A")) == 2


# --- Heartbeats and the end -------------------------------------------------------------------------------------


def test_a_test_request_is_answered_with_its_id(desk: FxcmDesk) -> None:
    desk.broker.balances()
    desk.venue.line().send("1", [(112, "are you there")])
    assert desk.venue.wait_for("0")[112] == "are you there"


def test_heartbeats_are_sent_while_a_call_waits(desk: FxcmDesk) -> None:
    desk.broker = desk.other(heartbeat_s=0.1)
    desk.venue.faults.append(Fault("D", "hold"))
    watcher = threading.Thread(
        target=lambda: (desk.venue.wait_for("0"), desk.venue.wait_for("1"), desk.venue.release.set())
    )
    watcher.start()
    assert isinstance(desk.broker.place(request_of(make(desk, limit="50"))), Accepted)
    watcher.join(10)
    assert desk.venue.of_kind("0") and desk.venue.of_kind("1")  # it also asked whether the venue is there
    assert len(desk.venue.of_kind("A")) == 1


def test_a_venue_without_heartbeats_is_given_up_and_the_order_is_unknown(desk: FxcmDesk) -> None:
    desk.broker = desk.other(heartbeat_s=0.05)
    desk.venue.is_mute = True
    desk.venue.faults.append(Fault("D", "silent"))
    order = make(desk, limit="50")
    answer = desk.broker.place(request_of(order))
    assert isinstance(answer, Unknown) and answer.reason == "no heartbeat of the venue"
    assert desk.venue.of_kind("1")  # asked first
    desk.broker = desk.other()
    assert desk.broker.fetch_order(order.client_id) is not None


def test_a_logout_of_the_venue_is_answered_and_the_next_call_logs_on(desk: FxcmDesk) -> None:
    desk.broker.balances()
    desk.venue.line().send("5", [(58, "end of the trading week")])
    desk.venue.wait_for("5")
    assert desk.broker.balances() and len(desk.venue.of_kind("A")) == 2


def test_a_line_cut_between_calls_is_opened_again(desk: FxcmDesk) -> None:
    order = place(desk, limit="50")
    desk.venue.line().cut()
    with desk.venue.news:
        assert desk.venue.news.wait_for(lambda: not any(row.is_on for row in desk.venue.lines), 5)
    found = next(filter(None, (_or_none(desk, order.client_id) for _ in range(2))))
    assert found.client_id == order.client_id and len(desk.venue.of_kind("A")) == 2


def _or_none(desk: FxcmDesk, client_id: str) -> Any:
    try:
        return desk.broker.fetch_order(client_id)
    except Unavailable:
        return None  # the cut was noticed only in the middle of the call


# --- TLS --------------------------------------------------------------------------------------------------------


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of its own for 127.0.0.1, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    now = clock.RealClock().now()
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    path = tmp_path / "certificate.pem"
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    path.write_bytes(
        made.public_bytes(pem) + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    )
    return path


@pytest.fixture
def tls_desk(certificate: Path, settings: Any, tmp_path: Path, db: Any) -> Iterator[FxcmDesk]:
    settings.VAR_DIR = tmp_path
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with FxcmVenue(clock.RealClock().now, tls=context) as found:
        yield FxcmDesk(found)
        line.close_all()


def over_tls(desk: FxcmDesk, **values: Any) -> FxcmBroker:
    endpoint = desk.endpoint(tls=True, **values)
    return FxcmBroker(
        desk.account, login=Login(user=USER, password=PASSWORD), endpoint=endpoint, timing=TIMING
    )


def test_over_tls_all_works_with_a_certificate_that_is_trusted(tls_desk: FxcmDesk, certificate: Path) -> None:
    tls_desk.broker = over_tls(tls_desk, ca_file=str(certificate))
    order = place(tls_desk, limit="50")
    found = tls_desk.broker.fetch_order(order.client_id)
    assert found is not None and tls_desk.broker.balances()
    tls_desk.venue.line().send("1", [(112, "still there")])
    tls_desk.venue.wait_for("0")


@pytest.mark.parametrize("case", ["nobody vouches for it", "another host"])
def test_a_certificate_that_proves_nothing_is_refused(
    tls_desk: FxcmDesk, certificate: Path, case: str
) -> None:
    trusted = {"ca_file": str(certificate), "host": "localhost"} if case == "another host" else {}
    broker = over_tls(tls_desk, **trusted)
    answer = broker.place(request_of(make(tls_desk)))
    assert isinstance(answer, Rejected) and "CERTIFICATE_VERIFY_FAILED" in answer.message
    assert not tls_desk.venue.received  # not even the password
