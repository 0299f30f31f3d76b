"""Sessions of people: how long they last, and which of one's own are open.

What is known of a session (since when, last used, address, browser) is stored in the session itself. A session ends after
`settings.SESSION_IDLE` without a person doing something (polls of an open page do not count) and `settings.SESSION_LONGEST`
after the login, whatever is done.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import import_module
from typing import Any, Final

from django.conf import settings
from django.contrib import auth
from django.contrib.auth.signals import user_logged_in
from django.contrib.sessions.models import Session
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from . import audit, client, clock
from .errors import NotFound

_SINCE, _SEEN, _IP, _AGENT = "login_at", "seen_at", "ip", "agent"
_SEEN_EVERY: Final = timedelta(minutes=1)
_MOST: Final = 2000


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One open session. `handle` names it without opening it."""

    handle: str
    since: datetime
    seen: datetime
    address: str
    agent: str
    is_this: bool


def install() -> None:
    """Note where every session begins."""
    user_logged_in.connect(_begun, dispatch_uid="foundation.sessions")


def _begun(sender: Any, request: HttpRequest, **_more: Any) -> None:
    now = clock.now().isoformat()
    session = request.session
    session[_SINCE] = session[_SEEN] = now
    session[_IP] = client.address(request)
    session[_AGENT] = request.headers.get("User-Agent", "")[:200]


class SessionLimits:
    """Ends a session that was idle or open for too long; goes right behind the authentication."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if settings.SESSION_COOKIE_NAME in request.COOKIES and auth.SESSION_KEY in request.session:
            _limit(request)
        return self.get_response(request)


def _limit(request: HttpRequest) -> None:
    now, session = clock.now(), request.session
    since, seen = _time(session.get(_SINCE)), _time(session.get(_SEEN))
    if since is None or seen is None:
        # Begun before this was kept: its time starts now.
        session[_SINCE] = session.get(_SINCE) or now.isoformat()
        session[_SEEN] = now.isoformat()
        return
    idle = now - seen > settings.SESSION_IDLE
    if idle or now - since > settings.SESSION_LONGEST:
        audit.record(
            action="session.expired", actor=audit.actor_of(request), reason="idle" if idle else "longest",
            request=request,
        )  # fmt: skip
        auth.logout(request)
    elif abs(now - seen) >= _SEEN_EVERY and not _is_poll(request):
        session[_SEEN] = now.isoformat()


def _is_poll(request: HttpRequest) -> bool:
    """A page that asks for news by itself: nobody need be sitting there."""
    by_script = request.headers.get("HX-Request") == "true" or request.path_info.startswith("/ui/")
    return by_script and request.method in ("GET", "HEAD")


def own(request: HttpRequest) -> list[Row]:
    """The open sessions of who asks, this one first, then the newest. Ones that are over by our limits are left out."""
    now = clock.now()
    rows = [
        _row(key, data, request.session.session_key or "", now)
        for key, data in _of(request.user)
        if _is_open(data, now)
    ]
    return sorted(rows, key=lambda row: (not row.is_this, -row.seen.timestamp()))


def end(request: HttpRequest, handle: str) -> None:
    """End one of one's own sessions. Raises NotFound."""
    for key, _data in _of(request.user):
        if hmac.compare_digest(_handle(key), handle):
            _delete(key)
            audit.record(action="session.end", actor=audit.actor_of(request), request=request)
            return
    raise NotFound("This session has ended already.")


def end_others(request: HttpRequest) -> int:
    """End all of one's own sessions but this one; how many there were."""
    keys = [key for key, _data in _of(request.user) if key != request.session.session_key]
    for key in keys:
        _delete(key)
    if keys:
        audit.record(
            action="session.end_others",
            actor=audit.actor_of(request),
            after={"ended": len(keys)},
            request=request,
        )
    return len(keys)


def _of(user: Any) -> list[tuple[str, dict[str, Any]]]:
    # A self-hosted site has tens of sessions, not millions: they are read and looked into.
    rows = Session.objects.order_by("-expire_date").values_list("session_key", "session_data")[:_MOST]
    store = import_module(settings.SESSION_ENGINE).SessionStore()
    found = ((key, store.decode(data)) for key, data in rows)
    return [(key, data) for key, data in found if str(data.get(auth.SESSION_KEY, "")) == str(user.pk)]


def _is_open(data: dict[str, Any], now: datetime) -> bool:
    since, seen = _time(data.get(_SINCE)), _time(data.get(_SEEN))
    return (
        since is None or seen is None
        or (now - since <= settings.SESSION_LONGEST and now - seen <= settings.SESSION_IDLE)
    )  # fmt: skip


def _row(key: str, data: dict[str, Any], current: str, now: datetime) -> Row:
    since = _time(data.get(_SINCE)) or now
    return Row(
        handle=_handle(key), since=since, seen=_time(data.get(_SEEN)) or since, address=str(data.get(_IP, "")),
        agent=str(data.get(_AGENT, "")), is_this=hmac.compare_digest(key, current),
    )  # fmt: skip


def _delete(key: str) -> None:
    import_module(settings.SESSION_ENGINE).SessionStore(key).delete()


def _handle(key: str) -> str:
    return hashlib.sha256(b"session" + key.encode()).hexdigest()[:32]


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
