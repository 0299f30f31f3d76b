"""The line a session runs over: TCP, or TLS that proves the host. Sockets are made non-blocking."""

from __future__ import annotations

import ipaddress
import select
import socket
import ssl
from dataclasses import dataclass
from typing import Final

from tradingsite.foundation import clock

_WRITE_S: Final = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """Where the venue listens and by which names. `ca_file` replaces the machine's authorities (tests)."""

    host: str
    port: int
    sender: str
    target: str
    target_sub: str
    tls: bool = True
    ca_file: str = ""


def connect(to: Endpoint, within_s: float) -> socket.socket:
    """Raises OSError (also for a certificate that does not prove the host)."""
    plain = socket.create_connection((to.host, to.port), timeout=within_s)
    try:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if to.tls:
            context = ssl.create_default_context(cafile=to.ca_file or None)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            plain = context.wrap_socket(plain, server_hostname=to.host)
        plain.setblocking(False)
    except BaseException:
        plain.close()
        raise
    return plain


def write(to: socket.socket, data: bytes) -> None:
    """All of it. Raises OSError; TimeoutError when the venue takes nothing for some seconds."""
    rest = memoryview(data)
    until = clock.monotonic() + _WRITE_S
    while rest:
        try:
            rest = rest[to.send(rest) :]
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError) as e:
            wants_read = isinstance(e, ssl.SSLWantReadError)
            left = max(0.0, until - clock.monotonic())
            ready = select.select([to] if wants_read else [], [] if wants_read else [to], [], left)
            if not any(ready):
                raise TimeoutError("the venue takes nothing") from e


def hang_up(line: socket.socket) -> None:
    try:
        line.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it is down already
    line.close()


def is_loopback(host: str) -> bool:
    """Whether it is this machine: the only one that is spoken to without TLS."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
