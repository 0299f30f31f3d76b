"""Channels for tests, and a deliverer whose messages go where a test can read them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tradingsite.foundation import audit, secrets
from tradingsite.foundation.errors import DomainError
from tradingsite.foundation.notify.channels import Message, Target
from tradingsite.foundation.notify.deliver import Deliverer, place
from tradingsite.foundation.notify.guard import Undelivered
from tradingsite.foundation.notify.models import NotificationChannel

ACTOR = audit.system("test")


def make_channel(owner: Any, at: datetime, name: str = "phone", **values: Any) -> NotificationChannel:
    """A webhook channel at hook.example."""
    values = {"kind": "webhook", "created_at": at, "since": at, **values}
    channel = NotificationChannel.objects.create(owner=owner, name=name, hint="…", **values)
    target = Target(address=f"https://hook.example/{name}", key="key")
    channel.sealed_target = secrets.seal(target.to_text(), place=place(channel.pk))
    channel.save()
    return channel


class Post:
    """Stands for the network: keeps what was sent by address, fails or hangs where a test says so."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Message]] = []
        self.down: set[str] = set()
        self.hanging: set[str] = set()
        self.error: DomainError = Undelivered("The other side answered 500.")
        self.started: list[Callable[[], None]] = []

    def send(self, kind: str, target: Target, message: Message) -> None:
        name = target.address.rsplit("/", 1)[-1]
        if name in self.down:
            raise self.error
        self.sent.append((name, message))

    def start(self, work: Callable[[], None]) -> None:
        self.started.append(work)
        if not self.hanging:
            work()

    def deliverer(self) -> Deliverer:
        return Deliverer(send=self.send, start=self.start)

    def titles(self, name: str = "phone") -> list[str]:
        return [message.title for sent_to, message in self.sent if sent_to == name]


class Handler(BaseHTTPRequestHandler):
    seen: list[tuple[str, str, dict[str, str], bytes]] = []
    answer: Any = None

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.seen.append((self.command, self.path, dict(self.headers), body))
        self.answer()

    do_GET = do_POST

    def log_message(self, *args: Any) -> None:
        """Quiet."""

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def server(settings: Any) -> Iterator[Any]:
    """A server on loopback which TRADING_NOTIFY_ALLOW names, so that it may be reached."""
    Handler.seen, Handler.answer = [], lambda self: self.reply(200, b"ok")
    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    settings.NOTIFY_ALLOW = [f"127.0.0.1:{listening.server_port}", f"hook.example:{listening.server_port}"]
    yield listening
    listening.shutdown()
    thread.join()
    listening.server_close()


def url_of(server: Any, path: str = "/hook") -> str:
    return f"http://127.0.0.1:{server.server_port}{path}"
