"""Webhook, e-mail and the services behind apprise: what leaves, and what never does."""

from __future__ import annotations

import hashlib
import hmac
import json
import smtplib
from datetime import datetime
from typing import Any

import pytest
from django.core import mail

from tradingsite.foundation import alerts
from tradingsite.foundation.errors import Conflict, Invalid, NotFound
from tradingsite.foundation.models import AuditEvent
from tradingsite.foundation.notify import channels, guard, selectors, services, thirdparty
from tradingsite.foundation.notify.channels import Message, Target
from tradingsite.foundation.notify.deliver import Deliverer
from tradingsite.foundation.notify.guard import Answer, Blocked, Undelivered
from tradingsite.foundation.notify.models import Delivery, NotificationChannel
from tradingsite.foundation.tests.notifykit import ACTOR, Handler, url_of

WISHES = services.Wishes()
MESSAGE = Message(
    title="It\nbroke", text="Look", severity="critical", sent_at=1_700_000_000, document={"version": 1}
)
TELEGRAM = "tgram://123456789:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA/4711"
ADDRESSES = {
    "telegram": (TELEGRAM, "api.telegram.org"),
    "discord": ("discord://417429632418316298/JHZ7lQml277CDHmQKMHI8qBe7bk2ZwO5UKjCiOAF7711o33MyqU344Qpgv7YTpadV_js", "discord.com"),
    "slack": ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#alerts", "hooks.slack.com"),
    "pushover": ("pover://uuuuuuuuuuuuuuuuuuuuuuuuuuuuuu@aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "api.pushover.net"),
    "ntfy": ("ntfys://my-topic", "ntfy.sh"),
}  # fmt: skip


def add(owner: Any, kind: str, address: str, at: datetime, name: str = "mine", **more: Any) -> services.Added:
    return services.add(
        owner=owner,
        kind=kind,
        name=name,
        address=address,
        wishes=more.get("wishes", WISHES),
        actor=ACTOR,
        now=at,
    )


@pytest.mark.django_db
def test_a_webhook_is_signed_over_its_time_and_body(alice: Any, at: datetime, server: Any) -> None:
    added = add(alice, "webhook", url_of(server), at)
    alert = alerts.raise_alert(key="k", code="feed-stale", severity="critical", subject="BTC", now=at)
    assert Deliverer(start=lambda work: work()).work(at) == 1
    ((_method, _path, headers, body),) = Handler.seen
    sent_at, signed = (part.split("=")[1] for part in headers["Trading-Signature"].split(","))
    wanted = hmac.new(added.key.encode(), f"{sent_at}.".encode() + body, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(signed, wanted) and int(sent_at) == int(at.timestamp())
    (told,) = json.loads(body)["alerts"]
    assert (told["id"], told["severity"], told["occasion"]) == (alert.pk, "critical", "opened")
    assert Delivery.objects.get().status == "sent"
    assert NotificationChannel.objects.get().last_ok_at == at


@pytest.mark.django_db
def test_a_target_is_sealed_and_shown_nowhere(alice: Any, at: datetime) -> None:
    added = add(alice, "webhook", "https://hook.example.org/T0P-SECRET-path-abcd", at)
    channel = NotificationChannel.objects.get()
    assert "SECRET" not in channel.sealed_target and added.key not in channel.sealed_target
    assert channel.hint == "hook.example.org …abcd"
    assert "SECRET" not in repr(selectors.channel_row(channel)) + repr(AuditEvent.objects.values_list())
    with pytest.raises(TypeError):
        Target.from_text(json.dumps({"address": "x", "other": "y"}))


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("kind", "address", "field"),
    [
        ("webhook", "http://127.0.0.1/", "address"), ("webhook", "http://169.254.169.254/latest", "address"),
        ("webhook", "file:///etc/passwd", "address"), ("webhook", "", "address"), ("email", "not an address", "address"),
        ("email", "a@example.org\nBcc: b@example.org", "address"), ("fax", "x", "kind"), ("telegram", "json://127.0.0.1", "address"),
        ("telegram", TELEGRAM + "?template=/etc/passwd", "address"), ("discord", "https://example.org/x", "address"),
    ],
)  # fmt: skip
def test_a_wrong_target_is_refused_with_its_field(
    alice: Any, at: datetime, kind: str, address: str, field: str
) -> None:
    with pytest.raises(Invalid) as refusal:
        add(alice, kind, address, at)
    assert [error["pointer"] for error in refusal.value.errors] == [f"#/{field}"]
    assert not NotificationChannel.objects.exists()


@pytest.mark.django_db
def test_channels_belong_to_their_owner(alice: Any, bob: Any, at: datetime) -> None:
    added = add(alice, "email", "alice@example.org", at)
    with pytest.raises(Conflict):
        add(alice, "email", "alice@example.org", at)
    for act in (services.test, services.remove):
        with pytest.raises(NotFound):
            act(added.id, owner=bob, actor=ACTOR, now=at)
    assert services.remove(added.id, owner=alice, actor=ACTOR, now=at) == "mine"
    assert list(AuditEvent.objects.order_by("pk").values_list("action", flat=True)) == [
        "notification.add",
        "notification.remove",
    ]


@pytest.mark.django_db
def test_the_log_outlives_its_channel(alice: Any, at: datetime) -> None:
    added = add(alice, "email", "alice@example.org", at)
    alert = alerts.raise_alert(key="k", code="x", severity="critical", now=at)
    Deliverer(start=lambda work: work()).work(at)
    services.remove(added.id, owner=alice, actor=ACTOR, now=at)
    (row,) = selectors.deliveries(alert.pk)
    assert (row.channel, row.status) == ("mine", "sent")


@pytest.mark.django_db
def test_an_e_mail_has_one_line_of_subject_and_one_reader(alice: Any, at: datetime) -> None:
    channels.send("email", Target(address="alice@example.org"), MESSAGE)
    (letter,) = mail.outbox
    assert (letter.subject, letter.to, letter.body) == ("It broke", ["alice@example.org"], "Look")


def test_without_a_mail_server_e_mail_says_so(settings: Any) -> None:
    settings.EMAIL_BACKEND, settings.EMAIL_HOST = "django.core.mail.backends.smtp.EmailBackend", ""
    with pytest.raises(Undelivered, match="TRADING_EMAIL_URL"):
        channels.send("email", Target(address="alice@example.org"), MESSAGE)


def test_an_error_of_the_mail_server_is_told_without_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: Any, **_options: Any) -> None:
        raise smtplib.SMTPAuthenticationError(535, b"password hunter2 is wrong")

    monkeypatch.setattr("django.core.mail.EmailMessage.send", refuse)
    with pytest.raises(Undelivered) as failure:
        channels.send("email", Target(address="alice@example.org"), MESSAGE)
    assert "535" in str(failure.value) and "hunter2" not in str(failure.value)


@pytest.mark.parametrize("kind", ADDRESSES)
def test_every_request_of_a_service_goes_through_the_guard(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, host = ADDRESSES[kind]
    asked: list[str] = []

    def answer(method: str, url: str, **_options: Any) -> Answer:
        asked.append(url)
        return Answer(
            200,
            {"content-type": "application/json"},
            b'{"ok": true, "status": 1}' if kind != "slack" else b"ok",
        )

    monkeypatch.setattr(guard, "send", answer)
    monkeypatch.setattr("socket.create_connection", lambda *a, **k: pytest.fail("past the guard"))
    channels.send(kind, channels.target_of(kind, address), MESSAGE)
    assert asked and all(guard.parse(url).host == host and url.startswith("https://") for url in asked)


@pytest.mark.parametrize("kind", ADDRESSES)
def test_what_a_service_refuses_is_told_without_the_token(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    address, _host = ADDRESSES[kind]
    monkeypatch.setattr(guard, "send", lambda *a, **k: Answer(401, {}, b"bad token"))
    with pytest.raises(Undelivered, match="401") as failure:
        channels.send(kind, Target(address=address), MESSAGE)
    assert not any(part in str(failure.value) for part in address.split("/") if len(part) > 8)


@pytest.mark.parametrize(
    "address", ["ntfys://example.org/topic", "ntfys://user:pass@internal.example/t", "ntfy://127.0.0.1/t"]
)
def test_a_service_at_another_host_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(
        guard, "send", lambda *given, **_options: asked.append(given) or Answer(200, {}, b"{}")
    )
    with pytest.raises((Blocked, Undelivered)):
        channels.send("ntfy", Target(address=address), MESSAGE)
    assert asked == []


def test_a_plugin_finds_no_other_way_out() -> None:
    plugin, guarded = thirdparty.build("telegram", TELEGRAM)
    module = __import__(type(plugin).__module__, fromlist=["x"])
    assert module.requests is guarded
    for name in ("Session", "put", "head", "sessions", "adapters", "api", "delete"):
        with pytest.raises(AttributeError):
            getattr(guarded, name)
    assert guarded.codes.ok == 200 and issubclass(guarded.RequestException, Exception)


@pytest.mark.django_db
def test_the_test_button_tells_the_exact_error_and_the_recovery(
    alice: Any, at: datetime, server: Any
) -> None:
    added = add(alice, "webhook", url_of(server, "/T0P-SECRET"), at)
    Handler.answer = lambda self: self.reply(403)
    tested = services.test(added.id, owner=alice, actor=ACTOR, now=at)
    assert (tested.is_ok, tested.error) == (False, "The other side answered 403.")
    assert NotificationChannel.objects.get().last_error == tested.error
    Handler.answer = lambda self: self.reply(204)
    assert services.test(added.id, owner=alice, actor=ACTOR, now=at).is_ok
    assert NotificationChannel.objects.get().last_error == ""
    assert json.loads(Handler.seen[-1][3])["test"] is True
