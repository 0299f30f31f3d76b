"""One message by one channel. Everything that goes wrong is Blocked (for good) or Undelivered (try again)."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets as random_bytes
import smtplib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage
from django.core.validators import validate_email
from django.utils.translation import gettext as _

from tradingsite.foundation import secrets
from tradingsite.foundation.jsonable import plain
from tradingsite.foundation.notify import guard, thirdparty
from tradingsite.foundation.notify.guard import Blocked, Undelivered

KINDS: Final = ("webhook", "email", *thirdparty.SERVICES)
LONGEST_TEXT: Final = 3_000  # what every service takes in one piece


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """What is to be said, for people (title, text) and for machines (document)."""

    title: str
    text: str
    severity: str
    sent_at: int  # seconds since 1970, part of the signature
    document: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """What is sealed of a channel: the address, and for a webhook the key of its signature."""

    address: str
    key: str = ""

    def to_text(self) -> str:
        return json.dumps({"address": self.address, "key": self.key})

    @classmethod
    def from_text(cls, text: str) -> Target:
        return cls(**json.loads(text))


def target_of(kind: str, typed: str) -> Target:
    """A checked target from what a person typed. Raises Blocked."""
    text = typed.strip()
    if kind == "webhook":
        guard.check(text)
        return Target(address=text, key=random_bytes.token_urlsafe(32))
    if kind == "email":
        try:
            validate_email(text)
        except ValidationError as error:
            raise Blocked(_("This is not an e-mail address.")) from error
        return Target(address=text)
    thirdparty.build(kind, text)
    return Target(address=text)


def hint_of(kind: str, address: str) -> str:
    """What may be shown of a target: never enough to use it."""
    if kind == "webhook":
        return f"{guard.parse(address).authority} {secrets.hint(address)}"[:120]
    if kind == "email":
        return f"{address[:1]}…@{address.rpartition('@')[2]}"[:120]
    return f"{address.split('://')[0]}://{secrets.hint(address)}"


def send(kind: str, target: Target, message: Message) -> None:
    """Deliver, or raise Blocked or Undelivered."""
    if kind == "webhook":
        _webhook(target, message)
    elif kind == "email":
        _email(target, message)
    else:
        thirdparty.send(
            kind, target.address, title=message.title, text=message.text[:LONGEST_TEXT], severity=message.severity
        )  # fmt: skip


def signature(key: str, sent_at: int, body: bytes) -> str:
    """The value of the header Trading-Signature: t=<seconds>,v1=<hex HMAC-SHA256 of "seconds.body">."""
    digest = hmac.new(key.encode(), f"{sent_at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={sent_at},v1={digest}"


def _webhook(target: Target, message: Message) -> None:
    body = json.dumps(plain(dict(message.document)), ensure_ascii=False).encode()
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": "trading-orchestrator",
        "Trading-Signature": signature(target.key, message.sent_at, body),
    }
    guard.accept(guard.send("POST", target.address, headers=headers, body=body).status)


def _email(target: Target, message: Message) -> None:
    if not settings.EMAIL_HOST and settings.EMAIL_BACKEND.endswith("smtp.EmailBackend"):
        raise Undelivered(_("No e-mail server is set up (TRADING_EMAIL_URL)."), code="no-mail-server")
    title = " ".join(message.title.split())
    mail = EmailMessage(subject=title, body=message.text, to=[target.address])
    try:
        mail.send()
    except smtplib.SMTPResponseException as error:
        text = _("The e-mail server answered %(status)s.") % {"status": error.smtp_code}
        raise Undelivered(text, code="answered") from error
    except (smtplib.SMTPException, OSError) as error:
        text = _("The e-mail server did not take it: %(error)s.") % {"error": guard.why(error)}
        raise Undelivered(text, code="broken") from error
