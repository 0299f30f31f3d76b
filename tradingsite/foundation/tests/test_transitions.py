from __future__ import annotations

from datetime import datetime
from threading import Barrier, Thread

import pytest
from django.db import connection
from django.db.models import Q

from tradingsite.foundation import transitions
from tradingsite.foundation.errors import ConcurrentChange
from tradingsite.foundation.transitions import IllegalTransition, Machine

from .rows import Parcel, ParcelEvent

MACHINE = Machine(
    "parcel",
    {("new", "send"): "sent", ("sent", "arrive"): "there", ("sent", "lose"): "lost"},
    frozenset({"there"}),
)


@pytest.mark.parametrize("state", sorted(MACHINE.states))
@pytest.mark.parametrize("event", sorted(MACHINE.events))
def test_every_pair_is_either_in_the_table_or_raises(state: str, event: str) -> None:
    if MACHINE.allows(state, event):
        assert MACHINE.next(state, event) in MACHINE.states
    else:
        with pytest.raises(IllegalTransition, match=f"parcel that is {state} cannot {event}"):
            MACHINE.next(state, event)


def test_a_terminal_state_with_a_way_out_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="there"):
        Machine("parcel", {("there", "return"): "new"}, frozenset({"there"}))


@pytest.mark.django_db
def test_apply_writes_status_updates_and_one_event(at: datetime) -> None:
    row = Parcel.objects.create()
    sent = transitions.apply(
        row,
        "send",
        machine=MACHINE,
        now=at,
        event_model=ParcelEvent,
        updates={"weight": 3},
        detail={"by": "bob"},
    )
    assert (sent.status, sent.weight, row.status) == ("sent", 3, "new")
    event = ParcelEvent.objects.get()
    assert (event.parcel, event.event, event.from_status, event.to_status, event.at, event.detail) == (
        row,
        "send",
        "new",
        "sent",
        at,
        {"by": "bob"},
    )


@pytest.mark.django_db
def test_an_illegal_event_changes_nothing(at: datetime) -> None:
    row = Parcel.objects.create()
    with pytest.raises(IllegalTransition):
        transitions.apply(row, "arrive", machine=MACHINE, now=at, event_model=ParcelEvent)
    row.refresh_from_db()
    assert row.status == "new" and not ParcelEvent.objects.exists()


@pytest.mark.django_db
def test_a_row_changed_meanwhile_raises_and_writes_no_event(at: datetime) -> None:
    row = Parcel.objects.create()
    transitions.apply(Parcel.objects.get(pk=row.pk), "send", machine=MACHINE, now=at)
    with pytest.raises(ConcurrentChange):
        transitions.apply(row, "send", machine=MACHINE, now=at, event_model=ParcelEvent)
    assert not ParcelEvent.objects.exists()


@pytest.mark.django_db
def test_the_extra_condition_must_hold(at: datetime) -> None:
    row = Parcel.objects.create(weight=1)
    with pytest.raises(ConcurrentChange):
        transitions.apply(row, "send", machine=MACHINE, now=at, where=Q(weight=2))
    assert transitions.apply(row, "send", machine=MACHINE, now=at, where=Q(weight=1)).status == "sent"


@pytest.mark.django_db
def test_on_commit_runs_after_the_commit_only(
    at: datetime, django_capture_on_commit_callbacks: object
) -> None:
    calls: list[str] = []
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        transitions.apply(
            Parcel.objects.create(), "send", machine=MACHINE, now=at, on_commit=lambda: calls.append("told")
        )
        assert calls == []
    assert calls == ["told"]


def test_of_racing_callers_exactly_one_wins(at: datetime, empty_tables: None) -> None:
    row = Parcel.objects.create()
    barrier, won, lost = Barrier(4), [], []

    def race() -> None:
        mine = Parcel.objects.get(pk=row.pk)
        barrier.wait()
        try:
            won.append(transitions.apply(mine, "send", machine=MACHINE, now=at, event_model=ParcelEvent))
        except ConcurrentChange as e:
            lost.append(e)
        finally:
            connection.close()

    threads = [Thread(target=race) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost), ParcelEvent.objects.count()) == (1, 3, 1)
