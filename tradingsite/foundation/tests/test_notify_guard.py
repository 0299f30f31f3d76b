"""Addresses people type in must never lead into our own network, however they are written."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tradingsite.foundation import clock
from tradingsite.foundation.notify import guard
from tradingsite.foundation.notify.guard import Blocked, Undelivered
from tradingsite.foundation.tests.notifykit import Handler, url_of

PUBLIC = "93.184.215.14"

# Each must be refused before a byte is sent. Names resolve as LYING says, else to loopback.
CORPUS = [
    "http://127.0.0.1/", "http://127.1/", "http://127.0.1/", "http://127.255.255.254/", "http://0/", "http://0.0.0.0/",
    "http://2130706433/", "http://017700000001/", "http://0177.0.0.1/", "http://0177.0.0.01/", "http://00000177.1/",
    "http://0x7f000001/", "http://0x7f.0.0.1/", "http://0x7F.1/", "http://0x7f.0x0.0x0.0x1/", "http://127.0.0.1./",
    "http://localhost/", "http://LOCALHOST/", "http://localhost./", "http://localhost.localdomain/",
    "http://[::1]/", "http://[::]/", "http://[0:0:0:0:0:0:0:1]/", "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/",
    "http://[::127.0.0.1]/", "http://[64:ff9b::7f00:1]/", "http://[64:ff9b::127.0.0.1]/", "http://[64:ff9b:1::1]/",
    "http://[2002:7f00:1::]/", "http://[2002:a00:1::1]/", "http://[2001:0:7f00:1::]/", "http://[fe80::1]/",
    "http://[fe80::1%25eth0]/", "http://[fe80::1%eth0]/", "http://[::1%25lo]/", "http://[fc00::1]/", "http://[fd12::1]/",
    "http://[ff02::1]/", "http://[fec0::1]/", "http://[::ffff:0:127.0.0.1]/", "http://[2001:db8::1]/", "http://[100::1]/",
    "http://10.0.0.1/", "http://172.16.0.1/", "http://172.31.255.255/", "http://192.168.1.1/", "http://169.254.169.254/",
    "http://100.64.0.1/", "http://192.0.0.1/", "http://192.0.2.1/", "http://198.18.0.1/", "http://198.51.100.1/",
    "http://203.0.113.1/", "http://192.88.99.1/", "http://224.0.0.1/", "http://240.0.0.1/", "http://255.255.255.255/",
    "http://metadata.google.internal/", "http://127.0.0.1.nip.example/", "http://both.example/", "http://mapped.example/",
    "http://user:pw@example.org/", "http://example.org@127.0.0.1/", "http://127.0.0.1:80@example.org/", "http://@127.0.0.1/",
    "http://example.org:80@127.0.0.1:80/", "http://example.org%40127.0.0.1/", "http://127.0.0.1%2f@example.org/",
    "http://example.org\\@127.0.0.1/", "http:\\\\127.0.0.1/", "http:/127.0.0.1/", "http:127.0.0.1/", "//127.0.0.1/",
    "http:///127.0.0.1/", "http://", "http://:80/", "http://[::1/", "http://[127.0.0.1]/", "http://[v1.x]/", "http://-x.org/",
    "http://exa mple.org/", " http://example.org/", "http://example.org/\r\nHost: x", "http://example.org\t/",
    "http://１２７.0.0.1/", "http://①②⑦.0.0.1/", "http://127。0。0。1/", "http://ⓛocalhost/", "http://%6c%6fcalhost/",
    "http://127.0.0.1%00.example.org/", "http://example.org#@127.0.0.1:6379/".replace("example.org#", "127.0.0.1#"),
    "http://example.org:22/", "http://example.org:6379/", "http://example.org:0/", "http://example.org:99999/",
    "http://example.org:8o/", "http://example.org:-80/", "https://example.org:8443/", "file:///etc/passwd",
    "gopher://127.0.0.1/", "ftp://example.org/", "dict://127.0.0.1/", "javascript:alert(1)", "data:text/plain,x",
    "jar:http://127.0.0.1!/", "unix:///tmp/x", "http://1e7/", "http://127.0.0.0x1/", "http://127.0.0.1e0/", "",
    "http://" + "a" * 64 + ".org/", "http://" + "a." * 130 + "org/", "http://example.org/" + "a" * 2000,
]  # fmt: skip
LYING = {
    "example.org": [PUBLIC],
    "both.example": [PUBLIC, "127.0.0.1"],
    "mapped.example": ["::ffff:10.0.0.1"],
    "metadata.google.internal": ["169.254.169.254"],
}


def resolve(host: str, port: int) -> list[str]:
    return LYING.get(host, ["127.0.0.1"])


@pytest.mark.parametrize("url", CORPUS)
def test_no_form_of_a_forbidden_address_passes(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    connected: list[Any] = []
    monkeypatch.setattr("socket.create_connection", lambda *a, **k: connected.append(a))
    with pytest.raises(Blocked):
        guard.send("GET", url, resolve=resolve)
    assert connected == []


def test_the_corpus_is_large_and_plain_addresses_pass() -> None:
    assert len(set(CORPUS)) == len(CORPUS) >= 100
    for url in (
        "https://example.org", "http://example.org/hook?x=1", "https://example.org:443/a", "HTTPS://EXAMPLE.org./",
        "https://xn--bcher-kva.example/", "http://93.184.215.14/", "https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/",
    ):  # fmt: skip
        target = guard.parse(url)
        assert guard.pin(target, lambda host, port: [PUBLIC]) in (
            PUBLIC,
            "2606:2800:21f:cb07:6820:80da:af6b:8b2c",
        )


def test_an_allowed_host_and_port_is_reached_with_its_name_in_the_request(server: Any) -> None:
    url = f"http://hook.example:{server.server_port}/hook?a=b"
    answer = guard.send("POST", url, headers={"Cookie": "x=1", "X-One": "1"}, body=b"{}", resolve=resolve)
    assert (answer.status, answer.body) == (200, b"ok")
    ((method, path, headers, body),) = Handler.seen
    assert (method, path, body) == ("POST", "/hook?a=b", b"{}")
    assert headers["Host"] == f"hook.example:{server.server_port}" and headers["X-One"] == "1"
    assert "Cookie" not in headers and headers["Accept-Encoding"] == "identity"


def test_what_is_allowed_is_one_port_of_one_host_only(server: Any) -> None:
    for url in (
        f"http://localhost:{server.server_port}/",
        "http://127.0.0.1/",
        f"http://127.1:{server.server_port}/",
    ):
        with pytest.raises(Blocked):
            guard.send("GET", url)
    assert Handler.seen == []


def test_a_name_that_changes_its_mind_is_connected_where_it_was_checked(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, connected = [[PUBLIC], ["127.0.0.1"]], []

    def refuse(address: Any, timeout: float) -> Any:
        connected.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr("socket.create_connection", refuse)
    with pytest.raises(Undelivered):
        guard.send("GET", "http://rebind.example/", resolve=lambda host, port: answers.pop(0))
    assert connected == [(PUBLIC, 80)] and Handler.seen == [] and len(answers) == 1


def test_a_redirect_is_an_answer_and_is_not_followed(server: Any) -> None:
    there = url_of(server, "/inside")
    Handler.answer = lambda self: self.reply(302, Location=there)
    with pytest.raises(Undelivered, match="302"):
        guard.ping(url_of(server))
    assert [path for _method, path, *_rest in Handler.seen] == ["/hook"]


def test_a_long_answer_is_cut_off(server: Any) -> None:
    Handler.answer = lambda self: self.reply(200, b"x" * 10_000_000)
    with pytest.raises(Undelivered, match="1 MB"):
        guard.ping(url_of(server))


def test_a_server_that_drips_does_not_keep_us(server: Any) -> None:
    done = threading.Event()

    def drip(self: Handler) -> None:
        self.send_response(200)
        self.end_headers()
        while not done.wait(0.05):
            try:
                self.wfile.write(b"x")
            except OSError:
                return

    Handler.answer = drip
    with pytest.raises(Undelivered, match="too long"):
        guard.send("GET", url_of(server), total_s=0.4)
    done.set()


def test_a_server_that_says_nothing_does_not_keep_us(server: Any) -> None:
    done = threading.Event()
    Handler.answer = lambda self: done.wait(20)
    began = clock.monotonic()
    with pytest.raises(Undelivered, match="too long"):
        guard.send("GET", url_of(server), total_s=0.3)
    took = clock.monotonic() - began
    done.set()
    assert took < 5


def test_errors_never_hold_the_address(server: Any) -> None:
    Handler.answer = lambda self: self.reply(500)
    secret = url_of(server, "/T0P/secret-path")
    with pytest.raises(Undelivered) as failure:
        guard.ping(secret)
    assert "secret" not in str(failure.value) and "500" in str(failure.value)
    server.shutdown()
    server.socket.close()
    with pytest.raises(Undelivered) as failure:
        guard.ping(secret)
    assert "secret" not in str(failure.value)
