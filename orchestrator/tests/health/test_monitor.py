"""The monitor keeps findings as rows, heals within its budget and tells a person once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError

from orchestrator import testkit
from orchestrator.conf import code_version
from orchestrator.health import checks, remedies, requests
from orchestrator.health.findings import REQUIRED_ROLES, Finding
from orchestrator.health.monitor import Monitor
from orchestrator.models import HealthEvent, ProcessBeat, Run
from orchestrator.plugins import WorkflowType
from orchestrator.services import runs
from tradingsite.foundation import clock
from tradingsite.foundation.models import Alert, AuditEvent

pytestmark = pytest.mark.django_db


class Scene:
    """One monitor on a clock that is moved; `found` is what the only check finds."""

    def __init__(self, time: clock.VirtualClock) -> None:
        self.time, self.monitor, self.found = time, Monitor(), [finding()]

    def look(self, after_s: float = 5.0) -> None:
        self.time.advance(timedelta(seconds=after_s))
        self.monitor.run(self.time.now())

    def row(self) -> HealthEvent:
        return HealthEvent.objects.get(component="toy")


def finding(**values: Any) -> Finding:
    usual: dict[str, Any] = {"component": "toy", "code": "broken", "severity": "warning", "detail": {"n": 1}}
    return Finding(**(usual | values))


@pytest.fixture
def scene(time: clock.VirtualClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    made = Scene(time)
    monkeypatch.setattr(checks, "_more", {"toy": lambda now: made.found})
    yield made


@pytest.fixture
def healed(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    times: list[datetime] = []
    monkeypatch.setitem(remedies._remedies, "requeue", lambda f, now: str(times.append(now)))
    return times


def test_a_finding_opens_a_row_and_an_alert_and_closes_both_when_it_is_gone(scene: Scene) -> None:
    scene.look()
    assert scene.row().closed_at is None
    assert Alert.objects.get(code="health-toy-broken").status == "open"
    scene.found = []
    scene.look()
    assert scene.row().closed_at == scene.time.now()
    assert Alert.objects.get(code="health-toy-broken").status == "resolved"


def test_an_episode_is_told_once_however_long_it_lasts(scene: Scene) -> None:
    for _ in range(50):
        scene.look()
    assert Alert.objects.get(code="health-toy-broken").count == 1
    assert scene.row().last_seen_at == scene.time.now()


def test_an_episode_that_gets_worse_is_told_again(scene: Scene) -> None:
    scene.look()
    scene.found = [finding(severity="critical")]
    scene.look()
    scene.look()
    alert = Alert.objects.get(code="health-toy-broken")
    assert (alert.severity, alert.count) == ("critical", 2)
    assert scene.row().severity == "critical"


def test_what_comes_back_within_ten_minutes_is_the_same_episode(scene: Scene) -> None:
    scene.look()
    first, scene.found = scene.row().pk, []
    scene.look()
    scene.found = [finding()]
    scene.look(after_s=300)
    assert (scene.row().pk, scene.row().closed_at) == (first, None)
    scene.found = []
    scene.look()
    scene.found = [finding()]
    scene.look(after_s=700)
    assert HealthEvent.objects.filter(component="toy").count() == 2


def test_an_information_is_kept_but_alerts_nobody(scene: Scene) -> None:
    scene.found = [finding(severity="info")]
    scene.look()
    assert HealthEvent.objects.filter(component="toy", closed_at=None).exists()
    assert not Alert.objects.filter(code="health-toy-broken").exists()


def test_a_remedy_is_applied_audited_and_given_time_to_work(scene: Scene, healed: list[datetime]) -> None:
    scene.found = [finding(remedy="requeue")]
    for _ in range(5):
        scene.look()
    assert len(healed) == 1
    assert (scene.row().remedy, scene.row().remedy_count) == ("requeue", 1)
    assert AuditEvent.objects.filter(action="health.requeue").count() == 1


def test_a_remedy_that_does_not_help_is_tried_three_times_and_then_a_person_is_asked(
    scene: Scene, healed: list[datetime]
) -> None:
    scene.found = [finding(remedy="requeue")]
    for _ in range(100):
        scene.look()  # 500 s
    assert len(healed) == 3
    alert = Alert.objects.get(code="health-flapping")
    assert (alert.severity, alert.count) == ("critical", 1)


def test_trouble_that_comes_and_goes_does_not_refill_the_budget(scene: Scene, healed: list[datetime]) -> None:
    for _ in range(8):
        scene.found = [finding(remedy="requeue")]
        scene.look(after_s=31)
        scene.found = []
        scene.look(after_s=31)
    assert len(healed) == 3


def test_after_the_window_it_may_heal_again(scene: Scene, healed: list[datetime]) -> None:
    scene.found = [finding(remedy="requeue")]
    for _ in range(200):
        scene.look()  # 1000 s
    assert 4 <= len(healed) <= 6
    for last in range(3, len(healed)):
        assert healed[last] - healed[last - 3] > timedelta(minutes=10)


def test_a_check_that_raises_is_a_finding_and_blinds_nobody(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bad(now: datetime) -> list[Finding]:
        raise RuntimeError("no")

    monkeypatch.setitem(checks._more, "bad", bad)
    scene.look()
    assert HealthEvent.objects.get(component="check").subject == "bad"
    assert scene.row().closed_at is None


def test_facts_that_cannot_be_measured_are_a_finding(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_disk(path: object) -> None:
        raise OSError("gone")

    monkeypatch.setattr(checks.shutil, "disk_usage", no_disk)
    scene.look()
    assert HealthEvent.objects.get(component="check").subject == "orchestrator"


def test_a_database_that_fails_is_the_loops_business(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(now: datetime) -> list[Finding]:
        raise OperationalError("database is locked")

    monkeypatch.setitem(checks._more, "bad", locked)
    with pytest.raises(OperationalError):
        scene.look()


def test_missing_processes_are_found_and_found_to_be_back(scene: Scene) -> None:
    scene.found = []
    scene.look()
    missing = HealthEvent.objects.filter(code="missing", closed_at=None)
    assert missing.count() == len(REQUIRED_ROLES)
    for role in REQUIRED_ROLES:
        beat(role, scene.time.now())
    scene.look()
    assert not missing.exists()


def test_processes_long_silent_are_forgotten(scene: Scene) -> None:
    beat("loop", scene.time.now())
    scene.look(after_s=601)
    assert not ProcessBeat.objects.filter(role="loop").exists()


def test_a_restart_request_reaches_workers_that_were_there_and_not_their_successors(scene: Scene) -> None:
    started = scene.time.now()
    scene.found = [
        finding(component="workers", subject="trading", code="canary_late", remedy="restart_cluster")
    ]
    assert not requests.restart_requested("trading", since=started)
    scene.look()
    assert requests.restart_requested("trading", since=started)
    assert not requests.restart_requested("maintenance", since=started)
    scene.time.advance(timedelta(seconds=1))
    assert not requests.restart_requested("trading", since=scene.time.now())


def test_a_clock_that_jumps_is_reported_for_a_while(time: clock.VirtualClock) -> None:
    watch = checks.ClockWatch()
    wall = time.now()
    assert watch.jump_s(wall) == 0.0
    time.advance(timedelta(seconds=5))
    assert watch.jump_s(wall + timedelta(seconds=5)) == 0.0
    time.advance(timedelta(seconds=5))
    assert watch.jump_s(wall - timedelta(seconds=3590)) == -3600.0
    time.advance(timedelta(seconds=299))
    assert watch.jump_s(wall - timedelta(seconds=3291)) == -3600.0
    time.advance(timedelta(seconds=5))
    assert watch.jump_s(wall - timedelta(seconds=3286)) == 0.0


@pytest.mark.usefixtures("halt_file")
def test_the_alert_about_other_code_ends_when_all_run_the_same_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, toy: WorkflowType
) -> None:
    testkit.switch_on(scene.time.now())
    run = testkit.queued_run(testkit.make_workflow(toy, scene.time.now()), scene.time.now())
    Run.objects.update(code_version="of yesterday")
    assert runs.claim(run.pk, "worker") is None
    open_alerts = Alert.objects.filter(key="code-version").exclude(status="resolved")
    scene.found = []
    scene.look()
    assert open_alerts.exists()  # a run of the other code still waits
    Run.objects.update(code_version=code_version())
    scene.found = [finding(component="code", code="differs")]
    scene.look()
    assert open_alerts.exists()  # a process of the other code still lives
    scene.found = [finding(component="check", subject="orchestrator", code="failed")]
    scene.look()
    assert open_alerts.exists()  # nobody knows
    scene.found = []
    scene.look()
    assert not open_alerts.exists()


def beat(role: str, now: datetime) -> None:
    ProcessBeat.objects.update_or_create(
        name=f"{role}@x:1", defaults={"role": role, "host": "x", "pid": 1, "started_at": now, "beat_at": now}
    )
