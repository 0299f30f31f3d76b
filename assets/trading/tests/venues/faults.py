"""What can go wrong with any venue: cut lines, wrong statuses, garbled and late answers, before or after it has acted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qsl

from assets.markets.testkit.loopback import Loopback, Reply, Request


@dataclass
class Fault:
    """Goes wrong `times` times for requests whose path ends with `path`.

    `drop`: "before" the venue acts or "after" it, the connection is cut. `status` and `body` replace the answer, before
    or after acting (`acts`). `hang_s`: the answer comes so late, after acting if `acts`.
    """

    path: str = ""
    method: str = ""
    drop: str = ""
    status: int = 0
    body: bytes = b'{"code":-1000,"msg":"An unknown error occurred."}'
    headers: tuple[tuple[str, str], ...] = ()
    hang_s: float = 0.0
    acts: bool = False
    times: int = 1


class FaultyVenue(Loopback):
    """`requests` is what was asked: (method, path, parameters). Subclasses implement `act`."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        super().__init__()
        self.now = now
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str, dict[str, str]]] = []

    def act(self, request: Request, query: dict[str, str]) -> Reply:
        """What the venue does and answers when nothing goes wrong."""
        raise NotImplementedError

    def parameters(self, request: Request) -> dict[str, str]:
        return dict(parse_qsl(request.text, keep_blank_values=True))

    def respond(self, request: Request) -> Reply | None:
        query = self.parameters(request)
        self.requests.append((request.method, request.path, query))
        fault = self._fault(request.method, request.path)
        if fault and fault.drop == "before":
            return None
        if fault and not fault.acts and fault.drop != "after" and (fault.status or fault.hang_s):
            self.stopping.wait(fault.hang_s)
            return Reply(fault.status or 200, fault.body, dict(fault.headers))
        reply = self.act(request, query)
        if fault:
            self.stopping.wait(fault.hang_s)
            if fault.drop == "after":
                return None
            if fault.status:
                return Reply(fault.status, fault.body, dict(fault.headers))
        return reply

    def _fault(self, method: str, path: str) -> Fault | None:
        for fault in self.faults:
            if fault.times and path.endswith(fault.path) and fault.method in ("", method):
                fault.times -= 1
                return fault
        return None
