"""Telegram, Discord, Slack, Pushover and ntfy.sh through apprise, whose every request goes through the guard.

apprise is imported when such a channel is used for the first time. Its plugins call `requests`; here each finds ours in
that place, which knows one trick only: a guarded request to the hosts of that service.
"""

from __future__ import annotations

import importlib
import logging
import re
import threading
from dataclasses import dataclass
from typing import Any, Final

from django.utils.translation import gettext as _

from tradingsite.foundation.notify import guard
from tradingsite.foundation.notify.guard import Blocked, Undelivered

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Service:
    """One plugin of apprise: the schemes of its addresses and the only hosts it may ask."""

    schemes: tuple[str, ...]
    plugin: str
    hosts: frozenset[str]
    example: str


SERVICES: Final = {
    "telegram": Service(
        ("tgram",), "telegram.NotifyTelegram", frozenset({"api.telegram.org"}), "tgram://bot-token/chat-id"
    ),
    "discord": Service(
        ("discord",), "discord.NotifyDiscord", frozenset({"discord.com"}), "discord://webhook-id/webhook-token"
    ),
    "slack": Service(
        ("slack",), "slack.NotifySlack", frozenset({"hooks.slack.com", "slack.com"}), "slack://T000/B000/token/#channel"
    ),
    "pushover": Service(
        ("pover",), "pushover.NotifyPushover", frozenset({"api.pushover.net"}), "pover://user-key@app-token"
    ),
    "ntfy": Service(("ntfy", "ntfys"), "ntfy.NotifyNtfy", frozenset({"ntfy.sh"}), "ntfys://topic"),
}  # fmt: skip
_ADDRESS: Final = re.compile(r"[a-z]+://[A-Za-z0-9._~:@/#+-]{3,500}")


class _Guarded:
    """Stands where a plugin expects the module `requests`."""

    def __init__(self, hosts: frozenset[str]) -> None:
        self._hosts, self._local = hosts, threading.local()
        self._requests: Any = importlib.import_module("requests")

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._requests, name)
        # Errors and names of status codes; nothing that could open a connection.
        if name == "codes" or (isinstance(found, type) and issubclass(found, Exception)):
            return found
        raise AttributeError(f"requests.{name} is not available to plugins.")

    @property
    def trouble(self) -> Blocked | Undelivered | None:
        """What went wrong last in this thread."""
        return getattr(self._local, "trouble", None)

    def forget(self) -> None:
        self._local.trouble = None

    def get(self, url: str, **options: Any) -> Any:
        return self.request("GET", url, **options)

    def post(self, url: str, **options: Any) -> Any:
        return self.request("POST", url, **options)

    def request(self, method: str, url: str, **options: Any) -> Any:
        """As in requests; certificates are always verified, redirects never followed, times are the guard's."""
        wanted = {
            k: options[k] for k in ("params", "data", "json", "headers", "auth", "files") if k in options
        }
        prepared = self._requests.Request(method, url, **wanted).prepare()
        body = prepared.body.encode() if isinstance(prepared.body, str) else prepared.body or b""
        try:
            target = guard.parse(prepared.url or "")
            if target.host not in self._hosts or target.scheme != "https":
                raise Blocked(_("This service is not at that host."))
            answer = guard.send(method, prepared.url, headers=dict(prepared.headers), body=body)
            self._note(answer.status)
        except (Blocked, Undelivered) as error:
            self._local.trouble = error
            raise self._requests.ConnectionError("refused or failed") from error
        response = self._requests.Response()
        response.status_code, response._content, response.url = answer.status, answer.body, prepared.url
        response.headers.update(answer.headers)
        return response

    def _note(self, status: int) -> None:
        try:
            guard.accept(status)
        except Undelivered as error:
            self._local.trouble = error


_guarded: dict[str, _Guarded] = {}
_loading = threading.Lock()


def _plugin(kind: str) -> tuple[Any, _Guarded]:
    service = SERVICES[kind]
    module_name, class_name = service.plugin.split(".")
    with _loading:
        module = importlib.import_module(f"apprise.plugins.{module_name}")
        if kind not in _guarded:
            _guarded[kind] = _Guarded(service.hosts)
        vars(module)["requests"] = _guarded[kind]
    return getattr(module, class_name), _guarded[kind]


def build(kind: str, url: str) -> tuple[Any, _Guarded]:
    """The plugin for an address. Raises Blocked for another scheme and for options (they name files and hosts)."""
    service = SERVICES[kind]
    if not _ADDRESS.fullmatch(url) or url.split("://")[0] not in service.schemes:
        raise Blocked(
            _("The address must look like %(example)s, without options.") % {"example": service.example}
        )
    plugin_class, guarded = _plugin(kind)
    # The library reports on everything it does, tokens included.
    logging.getLogger("apprise").setLevel(logging.CRITICAL)
    try:
        parsed = plugin_class.parse_url(url)
        if not parsed:
            raise ValueError(kind)
        return plugin_class(**parsed), guarded
    except Exception as error:  # whatever the library makes of it: not an address of this service
        text = _("The address must look like %(example)s, without options.") % {"example": service.example}
        raise Blocked(text) from error


def send(kind: str, url: str, *, title: str, text: str, severity: str) -> None:
    """One message. Raises Blocked or Undelivered, with no part of the address in it."""
    plugin, guarded = build(kind, url)
    guarded.forget()
    kinds = {"critical": "failure", "warning": "warning"}
    try:
        taken = plugin.notify(title=title, body=text, notify_type=kinds.get(severity, "info"))
    except Exception as error:
        logger.warning("apprise failed for %s: %s", kind, type(error).__name__)
        raise guarded.trouble or Undelivered(_("The message could not be sent."), code="broken") from error
    if not taken:
        raise guarded.trouble or Undelivered(_("The service did not take the message."), code="answered")
