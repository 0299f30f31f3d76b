from __future__ import annotations

from threading import Barrier, Thread

import pytest
from django.contrib.auth import get_user_model
from django.db import connection

from tradingsite.foundation import roles, setup
from tradingsite.foundation.errors import Conflict, Invalid
from tradingsite.foundation.models import AuditEvent, Setting

GOOD = "correct horse battery staple"


@pytest.mark.django_db
def test_the_first_administrator_is_created_once_and_audited() -> None:
    assert not setup.is_complete()
    user = setup.create_first_admin(
        username="alice", password=GOOD, email="a@example.org", language="fr", time_zone="Europe/Paris"
    )
    assert setup.is_complete()
    assert user.check_password(GOOD) and user.is_staff and roles.role_of(user) == roles.Role.ADMIN
    assert (user.profile.language, user.profile.time_zone) == ("fr", "Europe/Paris")
    assert AuditEvent.objects.get().action == "setup.administrator"
    with pytest.raises(Conflict):
        setup.create_first_admin(username="eve", password=GOOD)
    assert get_user_model().objects.count() == 1


@pytest.mark.django_db
def test_no_administrator_is_made_where_a_user_exists(charlie: object) -> None:
    with pytest.raises(Conflict):
        setup.create_first_admin(username="eve", password=GOOD)
    assert not Setting.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("username", "password", "pointers"),
    [
        ("alice", "short", {"#/password"}),
        ("alice", "password1234", {"#/password"}),
        ("alicealicealice", "alicealicealice", {"#/password"}),
        ("alice", "x y" * 50, {"#/password"}),
        ("", GOOD, {"#/username"}),
        ("a b/c", "short", {"#/username", "#/password"}),
    ],
)
def test_wrong_fields_are_all_named_and_nobody_is_created(
    username: str, password: str, pointers: set[str]
) -> None:
    with pytest.raises(Invalid) as caught:
        setup.create_first_admin(username=username, password=password)
    assert {problem["pointer"] for problem in caught.value.errors} == pointers
    assert not get_user_model().objects.exists() and not setup.is_complete()


@pytest.mark.django_db
def test_once_complete_no_query_is_made(alice: object, django_assert_num_queries: object) -> None:
    with django_assert_num_queries(1):  # type: ignore[operator]
        assert setup.is_complete() and setup.is_complete()


@pytest.mark.django_db(transaction=True)
def test_of_racing_set_ups_one_wins() -> None:
    barrier, made, refused = Barrier(4), [], []

    def race(name: str) -> None:
        barrier.wait()
        try:
            made.append(setup.create_first_admin(username=name, password=GOOD))
        except Conflict as e:
            refused.append(e)
        finally:
            connection.close()

    threads = [Thread(target=race, args=[f"admin{n}"]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(made), len(refused), get_user_model().objects.count()) == (1, 3, 1)
