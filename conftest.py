"""What every test gets: no network beyond this machine, markers by folder."""

import ipaddress
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Fixtures for everybody: at, alice, bob, charlie; see tradingsite/foundation/testkit.py.
pytest_plugins = ["tradingsite.foundation.testkit"]

_LOCAL_NAMES = {"localhost", "localhost.localdomain", "", "testserver"}
_FOLDER_MARKERS = ("browser", "faults", "bench")


class NetworkRefused(RuntimeError):
    """A test tried to leave this machine."""


def _is_local(address: Any) -> bool:
    if not isinstance(address, tuple):
        return True  # unix sockets, netlink
    host = str(address[0]).split("%")[0]
    if host in _LOCAL_NAMES:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Everything in a folder `browser`, `faults` or `bench` carries that marker (before `-m` selects)."""
    for item in items:
        folders = Path(item.path).relative_to(config.rootpath).parts[:-1]
        for name in set(_FOLDER_MARKERS) & set(folders):
            item.add_marker(name)


@pytest.fixture(autouse=True)
def _no_network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if request.node.get_closest_marker("network"):
        yield
        return
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def guarded(self: socket.socket, address: Any) -> None:
        if not _is_local(address):
            raise NetworkRefused(f"Tests stay on this machine; refused to connect to {address!r}.")
        connect(self, address)

    def guarded_ex(self: socket.socket, address: Any) -> int:
        if not _is_local(address):
            raise NetworkRefused(f"Tests stay on this machine; refused to connect to {address!r}.")
        return connect_ex(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
    monkeypatch.setattr(socket.socket, "connect_ex", guarded_ex)
    yield
