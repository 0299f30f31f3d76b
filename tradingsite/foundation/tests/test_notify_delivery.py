"""Each alert reaches each channel once per episode, whatever fails on the way."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from tradingsite.foundation import alerts, retention
from tradingsite.foundation.models import Alert, UserProfile
from tradingsite.foundation.notify import deliver, planning, services, times
from tradingsite.foundation.notify.guard import Blocked
from tradingsite.foundation.notify.models import Delivery, NotificationChannel
from tradingsite.foundation.tests.notifykit import ACTOR, Post, make_channel

pytestmark = pytest.mark.django_db
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


def raise_(now: datetime, severity: str = "warning", key: str = "feed:btc") -> Alert:
    return alerts.raise_alert(key=key, code="feed-stale", severity=severity, subject="BTC", now=now)


@pytest.fixture
def post() -> Post:
    return Post()


def states() -> list[tuple[str, str]]:
    return list(Delivery.objects.order_by("pk").values_list("occasion", "status"))


def test_an_alert_is_told_once_and_once_more_when_it_is_over(alice: Any, at: datetime, post: Post) -> None:
    make_channel(alice, at)
    deliverer = post.deliverer()
    raise_(at)
    for second in range(5):
        deliverer.work(at + second * SECOND)
    raise_(at + MINUTE)  # the same episode: counted, not told
    deliverer.work(at + MINUTE)
    assert len(post.titles()) == 1 and states() == [("opened", "sent")]
    alerts.resolve_alert("feed:btc", at + 2 * MINUTE)
    for minute in (2, 3, 4):
        deliverer.work(at + minute * MINUTE)
    assert len(post.titles()) == 2 and post.titles()[1].startswith("[Over]")
    raise_(at + HOUR)
    deliverer.work(at + HOUR)
    assert len(post.titles()) == 3


def test_an_alert_that_gets_worse_is_told_again_at_each_level(alice: Any, at: datetime, post: Post) -> None:
    make_channel(alice, at, min_severity="info")
    deliverer = post.deliverer()
    for severity in ("info", "warning", "warning", "critical", "info"):
        raise_(at, severity)
        deliverer.work(at)
    assert states() == [("opened", "sent"), ("escalated", "sent"), ("escalated", "sent")]


def test_the_database_allows_one_message_per_alert_channel_and_occasion(alice: Any, at: datetime) -> None:
    channel, alert = make_channel(alice, at), raise_(at)
    planning.row(channel, alert, "opened", at).save()
    with pytest.raises(IntegrityError), transaction.atomic():
        planning.row(channel, alert, "opened", at).save()


def test_two_deliverers_send_one_message(alice: Any, at: datetime, post: Post) -> None:
    channel = make_channel(alice, at)
    raise_(at)
    planning.plan(planning.usable(), at)
    stale = list(Delivery.objects.select_related("alert"))
    assert len(deliver.claim(channel, at)) == 1
    assert not deliver._take(stale[0], attempt=1), "what one has claimed another cannot"
    assert deliver.claim(channel, at) == []
    assert post.deliverer().work(at) == 0


def test_what_a_dead_process_had_in_hand_goes_out_again(alice: Any, at: datetime, post: Post) -> None:
    make_channel(alice, at)
    raise_(at)
    post.hanging.add("phone")
    assert post.deliverer().work(at) == 1  # and this one dies before it hears the end
    other = Post()
    assert other.deliverer().work(at + 59 * SECOND) == 0
    assert other.deliverer().work(at + 61 * SECOND) == 1


def test_failures_are_tried_again_later_and_later_then_given_up(alice: Any, at: datetime, post: Post) -> None:
    channel = make_channel(alice, at)
    post.down.add("phone")
    deliverer = post.deliverer()
    raise_(at, "critical")
    tried, now = [], at
    while now < at + 3 * HOUR:
        if deliverer.work(now):
            tried.append((now - at).total_seconds())
        now += 10 * SECOND
    assert tried == [0, 30, 150, 750, 4350]
    row = Delivery.objects.get(alert__key="feed:btc")
    assert (row.status, row.attempt, row.error) == ("failed", 5, "The other side answered 500.")
    channel.refresh_from_db()
    assert channel.last_error == "The other side answered 500." and channel.last_ok_at is None
    trouble = Alert.objects.get(code="notify-failed")
    assert trouble.status == "open" and trouble.subject == "phone"
    assert not Delivery.objects.filter(alert=trouble).exists(), "a dead channel is not told that it is dead"


def test_an_address_that_is_refused_is_not_tried_again(alice: Any, at: datetime, post: Post) -> None:
    make_channel(alice, at)
    post.down.add("phone")
    post.error = Blocked("not there")
    raise_(at)
    deliverer = post.deliverer()
    assert [deliverer.work(at + n * MINUTE) for n in range(3)] == [1, 0, 0]
    assert Delivery.objects.get(alert__key="feed:btc").status == "failed"


def test_what_one_channel_cannot_deliver_goes_by_the_others(
    alice: Any, bob: Any, at: datetime, post: Post
) -> None:
    make_channel(alice, at, "dead")
    make_channel(alice, at, "only-critical", min_severity="critical")
    make_channel(bob, at, "bobs", min_severity="critical")
    post.down.add("dead")
    deliverer = post.deliverer()
    raise_(at)
    for minute in range(0, 120):
        deliverer.work(at + minute * MINUTE)
    assert len(post.titles("only-critical")) == 1 and post.titles("bobs") == []


def test_a_channel_that_hangs_stops_nobody(alice: Any, at: datetime, post: Post) -> None:
    make_channel(alice, at, "hangs")
    make_channel(alice, at, "works")
    deliverer = post.deliverer()
    slow: list[Any] = []
    deliverer._start = lambda work: work() if slow else slow.append(work)
    raise_(at, "critical")
    assert deliverer.work(at) == 2 and post.titles("works") != []
    raise_(at + SECOND, "critical", key="feed:eth")
    assert deliverer.work(at + SECOND) == 1, "the hanging one is asked nothing more"
    assert len(post.titles("works")) == 2
    slow[0]()
    deliverer.work(at + 2 * SECOND)
    assert len(post.titles("hangs")) == 2


def test_a_thread_that_is_stuck_for_ever_does_not_close_its_channel(
    alice: Any, at: datetime, post: Post
) -> None:
    make_channel(alice, at)
    deliverer = post.deliverer()
    post.hanging.add("phone")
    raise_(at)
    deliverer.work(at)
    post.hanging.clear()
    deliverer.work(at + 2 * MINUTE)
    assert post.sent == []
    deliverer.work(at + 2 * MINUTE + SECOND)
    assert Delivery.objects.get().error == "It took too long."
    deliverer.work(at + 3 * MINUTE)
    assert len(post.sent) == 1


def test_an_error_nobody_expected_is_a_failed_attempt(alice: Any, at: datetime) -> None:
    make_channel(alice, at)
    raise_(at)

    def broken(*_args: Any) -> None:
        raise KeyError("https://hook.example/secret")

    deliver.Deliverer(send=broken, start=lambda work: work()).work(at)
    row = Delivery.objects.get()
    assert (row.status, row.attempt, row.error) == ("waiting", 1, "KeyError")


def test_mild_alerts_wait_for_the_end_of_quiet_hours_critical_ones_do_not(
    alice: Any, at: datetime, post: Post
) -> None:
    UserProfile.objects.filter(user=alice).update(time_zone="America/New_York")  # 08:00 there
    make_channel(alice, at, quiet_start=time(22), quiet_end=time(9))
    deliverer = post.deliverer()
    raise_(at)
    raise_(at, "critical", key="feed:eth")
    deliverer.work(at)
    assert len(post.sent) == 1 and post.sent[0][1].severity == "critical"
    deliverer.work(at + HOUR - SECOND)
    assert len(post.sent) == 1
    deliverer.work(at + HOUR)
    assert len(post.sent) == 2


def test_quiet_hours_pass_midnight_and_changes_of_the_clock() -> None:
    berlin = times.zone_of("Europe/Berlin")

    def at(text: str) -> datetime:
        return datetime.fromisoformat(text)

    def after(text: str, start: time, end: time) -> datetime:
        return times.after_quiet(at(text), start, end, berlin)

    assert after("2024-05-14T21:30:00+00:00", time(22), time(7)) == at("2024-05-15T05:00:00+00:00")
    assert after("2024-05-15T04:30:00+00:00", time(22), time(7)) == at("2024-05-15T05:00:00+00:00")
    assert after("2024-05-15T05:00:00+00:00", time(22), time(7)) == at("2024-05-15T05:00:00+00:00")
    assert after("2024-05-15T12:30:00+00:00", time(13), time(15)) == at("2024-05-15T13:00:00+00:00")
    # Summer time begins in this night, ends in that one.
    assert after("2024-03-30T22:00:00+00:00", time(22), time(7)) == at("2024-03-31T05:00:00+00:00")
    assert after("2024-10-26T21:00:00+00:00", time(22), time(7)) == at("2024-10-27T06:00:00+00:00")
    assert after("2024-05-15T12:30:00+00:00", time(9), time(9)) == at("2024-05-15T12:30:00+00:00")
    assert times.zone_of("Nowhere/Land").key == "UTC"


def test_a_digest_collects_mild_alerts_and_lets_critical_ones_pass(
    alice: Any, at: datetime, post: Post
) -> None:
    make_channel(alice, at, min_severity="info", digest_minutes=30)
    deliverer = post.deliverer()
    for minute, key in ((0, "a"), (10, "b"), (29, "c")):
        raise_(at + minute * MINUTE, "info", key=key)
        deliverer.work(at + minute * MINUTE)
    raise_(at + 29 * MINUTE, "critical", key="d")
    deliverer.work(at + 29 * MINUTE)
    assert [message.severity for _name, message in post.sent] == ["critical"]
    deliverer.work(at + 30 * MINUTE)
    assert len(post.sent) == 2 and len(post.sent[1][1].document["alerts"]) == 3
    deliverer.work(at + 2 * HOUR)
    assert len(post.sent) == 2


def test_what_somebody_has_seen_or_put_off_is_not_delivered(alice: Any, at: datetime, post: Post) -> None:
    make_channel(alice, at)
    deliverer = post.deliverer()
    seen, put_off = raise_(at), raise_(at, key="feed:eth")
    alerts.acknowledge(seen.pk, ACTOR, at)
    alerts.snooze(put_off.pk, 60, ACTOR, at)
    deliverer.work(at)
    deliverer.work(at + 59 * MINUTE)
    assert post.sent == []
    deliverer.work(at + HOUR)
    assert [message.document["alerts"][0]["id"] for _name, message in post.sent] == [put_off.pk]


def test_what_is_seen_or_put_off_while_it_waits_is_held_back(alice: Any, at: datetime, post: Post) -> None:
    make_channel(alice, at)
    seen, put_off = raise_(at), raise_(at, key="feed:eth")
    planning.plan(planning.usable(), at)
    alerts.acknowledge(seen.pk, ACTOR, at)
    alerts.snooze(put_off.pk, 60, ACTOR, at)
    deliverer = post.deliverer()
    deliverer.work(at)
    assert post.sent == []
    assert Delivery.objects.get(alert=seen).status == "skipped"
    deliverer.work(at + HOUR)
    assert len(post.sent) == 1


def test_a_snoozed_alert_that_gets_worse_wakes_up(alice: Any, at: datetime, post: Post) -> None:
    make_channel(alice, at)
    alert = raise_(at)
    alerts.snooze(alert.pk, 600, ACTOR, at)
    deliverer = post.deliverer()
    deliverer.work(at)
    assert post.sent == []
    raise_(at, "critical")
    deliverer.work(at)
    alert.refresh_from_db()
    assert len(post.sent) == 1 and alert.snoozed_until is None


def test_an_alert_that_is_over_before_anybody_looked_is_told_once(
    alice: Any, at: datetime, post: Post
) -> None:
    make_channel(alice, at)
    raise_(at, "critical")
    alerts.resolve_alert("feed:btc", at)
    deliverer = post.deliverer()
    for second in range(3):
        deliverer.work(at + second * SECOND)
    assert len(post.sent) == 1 and post.titles()[0].startswith("[Over]")


def test_a_new_channel_is_not_told_old_stories(alice: Any, at: datetime, post: Post) -> None:
    make_channel(alice, at - 2 * HOUR, "old")
    raise_(at - HOUR)
    channel = make_channel(alice, at)
    deliverer = post.deliverer()
    deliverer.work(at)
    assert len(post.titles("old")) == 1 and post.titles() == []
    NotificationChannel.objects.filter(name="old").delete()
    post.sent.clear()
    services.switch(channel.pk, owner=alice, actor=ACTOR, now=at)
    raise_(at, key="while-off")
    deliverer.work(at)
    services.switch(channel.pk, owner=alice, actor=ACTOR, now=at + MINUTE)
    deliverer.work(at + MINUTE)
    assert post.sent == []
    raise_(at + MINUTE, key="while-on")
    deliverer.work(at + MINUTE)
    assert len(post.sent) == 1


def test_people_who_left_are_not_told(alice: Any, at: datetime, post: Post) -> None:
    make_channel(alice, at)
    alice.is_active = False
    alice.save()
    raise_(at, "critical")
    assert post.deliverer().work(at) == 0


def test_a_channel_that_works_again_ends_the_alert_about_it(alice: Any, at: datetime, post: Post) -> None:
    channel = make_channel(alice, at)
    post.down.add("phone")
    post.error = Blocked("not there")
    deliverer = post.deliverer()
    raise_(at)
    deliverer.work(at)
    assert Alert.objects.get(key=planning.channel_key(channel.pk)).status == "open"
    post.down.clear()
    raise_(at + MINUTE, key="feed:eth")
    deliverer.work(at + MINUTE)
    assert Alert.objects.get(key=planning.channel_key(channel.pk)).status == "resolved"


def test_a_message_says_what_why_what_to_do_and_where(alice: Any, at: datetime, post: Post) -> None:
    make_channel(alice, at)
    alert = alerts.raise_alert(
        key="x", code="audit-broken", severity="critical", now=at, params={"first_bad": 7}
    )
    post.deliverer().work(at)
    ((_name, message),) = post.sent
    (part,) = message.document["alerts"]
    assert part["what"] == "The audit log was tampered with" and "Row 7" in part["why"]
    assert "passwords" in part["what_to_do"] and part["link"] == f"http://testserver/alerts/{alert.pk}/"
    for piece in (part["what"], part["why"], part["what_to_do"], part["link"]):
        assert piece in message.text


def test_a_message_is_in_the_language_of_its_reader(alice: Any, at: datetime, post: Post) -> None:
    UserProfile.objects.filter(user=alice).update(language="fr")
    make_channel(alice, at)
    raise_(at, "critical")
    post.deliverer().work(at)
    assert post.titles()[0].startswith("[Critique]")


def test_a_key_that_is_gone_fails_the_message_and_is_said(alice: Any, at: datetime, post: Post) -> None:
    channel = make_channel(alice, at)
    NotificationChannel.objects.filter(pk=channel.pk).update(sealed_target="v1:00000000:AAAA")
    raise_(at)
    post.deliverer().work(at)
    assert Delivery.objects.get(alert__key="feed:btc").status == "failed"
    assert Alert.objects.filter(code="notify-failed", status="open").exists()


def test_messages_are_forgotten_with_their_alert(alice: Any, at: datetime, post: Post) -> None:
    make_channel(alice, at)
    raise_(at)
    post.deliverer().work(at)
    alerts.resolve_alert("feed:btc", at)
    retention.forget_old(at + timedelta(days=4000), guard=lambda: None)
    assert not Alert.objects.exists() and not Delivery.objects.exists()


def test_nothing_to_do_costs_four_short_questions(
    alice: Any, at: datetime, django_assert_num_queries: Any
) -> None:
    deliverer = Post().deliverer()
    with django_assert_num_queries(1):
        deliverer.work(at)
    make_channel(alice, at)
    with django_assert_num_queries(4):
        deliverer.work(at)
