"""A browser's part in the measurements: one kept-alive connection, cookies, and the time to the first byte."""

from __future__ import annotations

import http.client
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """One response. `ttfb_ms` from sending the request to the end of the response's headers."""

    status: int
    body: str
    headers: Mapping[str, str]
    ttfb_ms: float


@dataclass
class Browser:
    """Follows nothing by itself: what is measured is one request."""

    port: int
    cookies: dict[str, str] = field(default_factory=dict)
    _connection: http.client.HTTPConnection | None = None

    def get(self, path: str, **headers: str) -> Answer:
        return self._ask("GET", path, b"", headers)

    def submit(self, path: str, form_at: str = "", **fields: str) -> Answer:
        """Fill in the form of a page and post it, as a person would."""
        found = _TOKEN.search(self.get(form_at or path).body)
        if found is None:
            raise RuntimeError(f"{form_at or path} shows no form")
        body = urlencode({"csrfmiddlewaretoken": found[1], **fields}).encode()
        return self._ask("POST", path, body, {"Content-Type": "application/x-www-form-urlencoded"})

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        try:
            return self._send(method, path, body, headers)
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            self.close()  # the server closed an idle connection: a browser opens another
            return self._send(method, path, body, headers)

    def _send(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            self._connection.connect()
        sent = dict(headers)
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        began = time.perf_counter()
        self._connection.request(method, path, body or None, sent)
        response = self._connection.getresponse()
        ttfb_ms = (time.perf_counter() - began) * 1000
        text = response.read().decode("utf-8", "replace")
        for line in response.headers.get_all("Set-Cookie", []):
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name.strip()] = value
        return Answer(
            status=response.status, body=text, headers=dict(response.headers.items()), ttfb_ms=ttfb_ms
        )


def answers(port: int, path: str = "/healthz") -> bool:
    """Whether a server answers there at all."""
    browser = Browser(port)
    try:
        return browser.get(path).status < 500
    except OSError:
        return False
    finally:
        browser.close()
