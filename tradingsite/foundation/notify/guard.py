"""Requests to addresses people type in: they reach the open internet and nothing else.

The address is parsed strictly, its name resolved once, every answer checked, and the connection made to the address
that was checked (a second answer of the name server changes nothing). No redirects, no proxy, no cookies, no compression.
What is allowed besides is in settings.NOTIFY_ALLOW, exact `host:port` entries of whoever runs the server.
"""

from __future__ import annotations

import http.client
import io
import ipaddress
import re
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings
from django.utils.translation import gettext as _

from tradingsite.foundation import clock
from tradingsite.foundation.errors import DomainError

CONNECT_S: Final = 3.0
TOTAL_S: Final = 10.0
BODY_CAP: Final = 1_000_000  # bytes of an answer
LONGEST_URL: Final = 2_000
PORTS: Final = {"http": 80, "https": 443}

_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_TOP: Final = re.compile(r"[a-z][a-z0-9-]*")  # a name ends in letters; 0x7f.1, 2130706433 and 127.1 do not
_PRINTABLE: Final = re.compile(r"[\x21-\x7e]+")
# Global to `ipaddress`, and all the same ways to reach an IPv4 address, or many.
_TUNNELS: Final = tuple(
    ipaddress.ip_network(text)
    for text in (
        "192.88.99.0/24", "192.0.0.0/24", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::ffff:0:0/96",
        "::/96", "::ffff:0:0:0/96", "fec0::/10", "100::/64",
    )
)  # fmt: skip

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], list[str]]


class Blocked(DomainError):
    """The address is not one this server may be sent to. Retrying is useless."""

    status = 400
    exit_code = 2
    default_code = "address-refused"


class Undelivered(DomainError):
    """The other side did not take it. The message never holds the address: its path may be a secret."""

    status = 503
    exit_code = 75
    default_code = "undelivered"


@dataclass(frozen=True, slots=True)
class Target:
    """A parsed address: what to connect to is decided later, when the name is resolved."""

    scheme: str
    host: str  # lower case, without brackets
    port: int
    path: str  # with its query
    is_allowed_by_name: bool = False

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; `body` has at most BODY_CAP bytes."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


def parse(url: str) -> Target:
    """The address taken apart. Raises Blocked for everything that is not plainly http(s)://name[:port]/path."""
    if not url or len(url) > LONGEST_URL or not _PRINTABLE.fullmatch(url) or "\\" in url:
        raise Blocked(_("The address must be at most 2000 printable ASCII characters, without spaces."))
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Blocked(_("The address cannot be understood.")) from error
    if parts.scheme not in PORTS or not url.lower().startswith(f"{parts.scheme}://"):
        raise Blocked(_("The address must begin with https:// or http://."))
    if "@" in parts.netloc:
        raise Blocked(_("The address must not carry a user name or a password."))
    host, port = _host(parts.netloc, parts.hostname or ""), PORTS[parts.scheme] if port is None else port
    allowed = f"{host}:{port}" in {entry.lower() for entry in settings.NOTIFY_ALLOW}
    if not allowed and port not in PORTS.values():
        raise Blocked(_("Port %(port)s is not allowed; 80 and 443 are.") % {"port": port})
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, host, port, path, allowed)


def _host(netloc: str, host: str) -> str:
    if netloc.startswith("["):
        if "%" in host or not _is_ip(host):
            raise Blocked(_("The host of the address is not a name or an IP address."))
        return host
    name = host.removesuffix(".")
    if _is_ip(name) and ":" not in name:
        return name
    labels = name.split(".")
    if (
        len(name) > 253
        or not all(_LABEL.fullmatch(label) for label in labels)
        or not _TOP.fullmatch(labels[-1])
    ):
        raise Blocked(_("The host of the address is not a name or an IP address."))
    return name


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_open_internet(text: str) -> bool:
    """Whether an IP address is somewhere out there: not here, not our network, not a tunnel, not many at once."""
    if "%" in text:
        return False
    address: Address = ipaddress.ip_address(text)
    if any(address in network for network in _TUNNELS if network.version == address.version):
        return False
    return address.is_global and not (
        address.is_multicast
        or address.is_reserved
        or address.is_unspecified
        or address.is_loopback
        or address.is_link_local
    )


def _resolve(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return [str(entry[4][0]) for entry in found]


def pin(target: Target, resolve: Resolve = _resolve) -> str:
    """The one IP address to connect to. Raises Blocked when any answer is not on the open internet."""
    try:
        answers = list(
            dict.fromkeys([target.host] if _is_ip(target.host) else resolve(target.host, target.port))
        )
    except (OSError, UnicodeError) as error:
        raise Undelivered(_("The name of the host is unknown."), code="unknown-host") from error
    if not answers:
        raise Undelivered(_("The name of the host is unknown."), code="unknown-host")
    if not target.is_allowed_by_name and not all(is_open_internet(answer) for answer in answers):
        raise Blocked(_("The host is not on the open internet: this server must not be sent there."))
    return answers[0]


class _Reading(io.RawIOBase):
    """A socket read against one deadline: a server that sends a byte a second does not keep us."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock, self._deadline = sock, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._deadline - clock.monotonic()
        if left <= 0:
            raise TimeoutError("deadline")
        self._sock.settimeout(left)
        return self._sock.recv_into(buffer)


class _Wire:
    """What http.client needs of a socket; whoever opened that closes it."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._raw = _Reading(sock, deadline)
        self.sendall = sock.sendall  # its timeout is for all of it

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self._raw)

    def close(self) -> None:
        """Nothing: the answer is read after http.client has closed."""


def send(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    resolve: Resolve = _resolve,
    total_s: float = TOTAL_S,
) -> Answer:
    """One request, one answer, whatever its status; redirects are answers. Raises Blocked or Undelivered."""
    target = parse(url)
    ip = pin(target, resolve)
    deadline = clock.monotonic() + total_s
    try:
        sock = socket.create_connection((ip, target.port), timeout=min(CONNECT_S, total_s))
    except OSError as error:
        raise Undelivered(
            _("No connection: %(error)s.") % {"error": why(error)}, code="no-connection"
        ) from error
    try:
        sock.settimeout(max(0.1, deadline - clock.monotonic()))
        if target.scheme == "https":
            sock = ssl.create_default_context().wrap_socket(sock, server_hostname=target.host)
        return _exchange(sock, target, method, {**(headers or {})}, body, deadline)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Undelivered(
            _("The connection broke: %(error)s.") % {"error": why(error)}, code="broken"
        ) from error
    finally:
        sock.close()


def _exchange(
    sock: socket.socket, target: Target, method: str, headers: dict[str, str], body: bytes, deadline: float
) -> Answer:
    connection = http.client.HTTPConnection(target.host, target.port)
    connection.sock = _Wire(sock, deadline)
    ours = {"host", "connection", "accept-encoding", "content-length", "transfer-encoding", "cookie"}
    connection.putrequest(method, target.path, skip_host=True, skip_accept_encoding=True)
    connection.putheader("Host", target.authority)
    connection.putheader("Accept-Encoding", "identity")
    connection.putheader("Connection", "close")
    connection.putheader("Content-Length", str(len(body)))
    for name, value in headers.items():
        if name.lower() not in ours:
            connection.putheader(name, value)
    connection.endheaders(body or None)
    response = connection.getresponse()
    received = b"" if method == "HEAD" else response.read(BODY_CAP + 1)
    if len(received) > BODY_CAP:
        raise Undelivered(_("The answer is longer than 1 MB."), code="answer-too-long")
    return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, received)


def check(url: str) -> None:
    """As far as one can tell without asking anybody. Raises Blocked."""
    target = parse(url)
    if _is_ip(target.host):
        pin(target)


def ping(url: str, *, resolve: Resolve = _resolve) -> None:
    """GET, and anything but 2xx is a failure. Raises Blocked or Undelivered."""
    accept(send("GET", url, resolve=resolve).status)


def accept(status: int) -> None:
    """Raises Undelivered unless `status` says that it was taken."""
    if 300 <= status < 400:
        text = _("The other side answered %(status)s: redirects are not followed, enter the final address.")
        raise Undelivered(text % {"status": status}, code="redirected", answered=status)
    if not 200 <= status < 300:
        text = _("The other side answered %(status)s.")
        raise Undelivered(text % {"status": status}, code="answered", answered=status)


def why(error: Exception) -> str:
    """An error in words that hold no address."""
    if isinstance(error, TimeoutError):
        return _("it took too long")
    if isinstance(error, ssl.SSLCertVerificationError):
        return _("the certificate is not valid (%(reason)s)") % {"reason": error.verify_message}
    if isinstance(error, ConnectionRefusedError):
        return _("it was refused")
    if isinstance(error, OSError) and error.strerror:
        return str(error.strerror)
    return type(error).__name__
