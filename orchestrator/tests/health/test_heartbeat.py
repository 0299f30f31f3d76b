"""The heartbeat leaves only while everything is alive."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from orchestrator.health.findings import REQUIRED_ROLES
from orchestrator.health.heartbeat import Heartbeat, silent
from orchestrator.models import ProcessBeat
from orchestrator.process.messenger import Messenger
from tradingsite.foundation import alerts
from tradingsite.foundation.notify.deliver import Deliverer
from tradingsite.foundation.notify.guard import Undelivered
from tradingsite.foundation.notify.models import Delivery
from tradingsite.foundation.tests.notifykit import Post, make_channel

pytestmark = pytest.mark.django_db
URL = "https://monitor.example/ping"


@pytest.fixture
def alive(at: datetime, settings: Any) -> None:
    settings.HEARTBEAT_URL = URL
    for role in REQUIRED_ROLES:
        ProcessBeat.objects.create(name=f"{role}@x", role=role, host="x", pid=1, started_at=at, beat_at=at)


def test_while_all_is_alive_the_monitor_is_asked(alive: None, at: datetime) -> None:
    asked: list[str] = []
    assert Heartbeat(asked.append).beat(at, is_ticking=True) and asked == [URL]


@pytest.mark.parametrize("role", REQUIRED_ROLES)
def test_one_silent_part_is_enough_for_silence(alive: None, at: datetime, role: str) -> None:
    asked: list[str] = []
    ProcessBeat.objects.filter(role=role).update(beat_at=at - timedelta(seconds=21))
    assert not Heartbeat(asked.append).beat(at, is_ticking=True) and asked == []
    assert silent(at) == (role,)


def test_workers_that_beat_and_do_not_work_are_silent(alive: None, at: datetime) -> None:
    ProcessBeat.objects.filter(role="workers:trading").update(info={"unanswered_s": 60})
    assert silent(at) == ("workers:trading",)


def test_a_loop_that_hangs_or_no_address_means_no_heartbeat(alive: None, at: datetime, settings: Any) -> None:
    asked: list[str] = []
    assert not Heartbeat(asked.append).beat(at, is_ticking=False)
    settings.HEARTBEAT_URL = ""
    assert not Heartbeat(asked.append).beat(at, is_ticking=True)
    assert asked == []


def test_a_monitor_that_is_away_harms_nobody_and_is_said_once(alive: None, at: datetime, caplog: Any) -> None:
    def away(url: str) -> None:
        raise Undelivered("The other side answered 503.")

    heartbeat = Heartbeat(away)
    assert [heartbeat.beat(at, is_ticking=True) for _minute in range(3)] == [False] * 3
    assert len(caplog.records) == 1 and URL not in caplog.text


def test_the_default_way_out_is_guarded(alive: None, at: datetime, settings: Any) -> None:
    settings.HEARTBEAT_URL = "http://127.0.0.1:80/"
    assert not Heartbeat().beat(at, is_ticking=True)


def test_only_the_leader_delivers(alice: Any, at: datetime) -> None:
    make_channel(alice, at)
    alerts.raise_alert(key="k", code="x", severity="critical", now=at)
    post, leads = Post(), [False]
    messenger = Messenger(lambda: leads[0])
    messenger._deliverer = Deliverer(send=post.send, start=post.start)
    messenger._deliver()
    assert not Delivery.objects.exists()
    leads[0] = True
    messenger._deliver()
    assert len(post.sent) == 1
