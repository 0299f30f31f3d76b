from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser

from tradingsite.foundation import audit, clock, roles, selectors, services, tokens
from tradingsite.foundation.errors import Invalid, NotAuthenticated, NotFound, Refused
from tradingsite.foundation.models import ApiToken, AuditEvent
from tradingsite.foundation.roles import Role
from tradingsite.foundation.testkit import make_user

ACTOR = audit.system("test")


def issue(user: Any, *scopes: str, **values: Any) -> tokens.IssuedToken:
    return tokens.issue(
        user=user, name="robot", scopes=scopes or ["read"], actor=ACTOR, now=clock.now(), **values
    )


@pytest.mark.django_db
def test_a_token_is_shown_once_and_stored_as_a_keyed_hash(alice: Any, at: datetime) -> None:
    issued = issue(alice)
    prefix, lookup, secret = issued.clear.split("_", 2)
    assert (prefix, len(lookup)) == ("tsk", 8) and len(secret) >= 43
    stored = str(list(ApiToken.objects.values())) + str(list(AuditEvent.objects.values()))
    assert secret not in stored and lookup in stored
    assert tokens.authenticate(issued.clear, now=at) == issued.token
    assert issue(alice).clear != issued.clear


@pytest.mark.django_db
def test_wrong_expired_revoked_and_disabled_tokens_are_refused_alike(alice: Any, at: datetime) -> None:
    good = issue(alice, expires_at=at + timedelta(hours=1)).clear
    other = issue(alice).clear
    tokens.authenticate(good, now=at)
    wrong = [
        good[:-1] + ("A" if good[-1] != "A" else "B"),
        "tsk_abcdefgh_" + good[13:],
        "x" + good,
        "",
        "tsk__",
        good + "ü",
        "tsk_a_" + "b" * 500,
    ]
    wrong.append(other[:13] + good[13:])
    for clear in wrong:
        with pytest.raises(NotAuthenticated, match="The token is not valid"):
            tokens.authenticate(clear, now=at)
    with pytest.raises(NotAuthenticated):
        tokens.authenticate(good, now=at + timedelta(hours=1))
    tokens.revoke(ApiToken.objects.get(lookup=other[4:12]).pk, actor=ACTOR, now=at)
    with pytest.raises(NotAuthenticated):
        tokens.authenticate(other, now=at)
    alice.is_active = False
    alice.save(update_fields=["is_active"])
    with pytest.raises(NotAuthenticated):
        tokens.authenticate(good, now=at)


@pytest.mark.django_db
def test_a_new_signing_key_ends_tokens_unless_the_old_one_is_a_fallback(
    alice: Any, at: datetime, settings: Any
) -> None:
    clear, old = issue(alice).clear, settings.SECRET_KEY
    settings.SECRET_KEY = "another-" * 10
    with pytest.raises(NotAuthenticated):
        tokens.authenticate(clear, now=at)
    settings.SECRET_KEY_FALLBACKS = [old]
    tokens.authenticate(clear, now=at)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "values",
    [
        {"name": " "},
        {"scopes": []},
        {"scopes": ["root"]},
        {"expires_at": clock.now() - timedelta(days=10000)},
    ],
)
def test_a_token_needs_a_name_known_scopes_and_a_future(
    alice: Any, at: datetime, values: dict[str, Any]
) -> None:
    wanted = {"name": "n", "scopes": ["read"], "user": alice, "actor": ACTOR, "now": at, **values}
    with pytest.raises(Invalid):
        tokens.issue(**wanted)
    assert not ApiToken.objects.exists()


@pytest.mark.django_db
def test_use_is_noted_at_most_once_a_minute_and_new_addresses_are_audited(alice: Any, at: datetime) -> None:
    clear = issue(alice).clear
    for minutes, ip in ((0, "192.0.2.1"), (0.5, "192.0.2.1"), (2, "192.0.2.1"), (2.1, "192.0.2.9")):
        tokens.authenticate(clear, now=at + timedelta(minutes=minutes), ip=ip)
    token = ApiToken.objects.get()
    assert (token.last_used_ip, token.last_used_at) == ("192.0.2.9", at + timedelta(minutes=2.1))
    moves = AuditEvent.objects.filter(action="token.new-address").order_by("sequence")
    assert [move.after for move in moves] == [{"ip": "192.0.2.1"}, {"ip": "192.0.2.9"}]


@pytest.mark.django_db
def test_one_may_revoke_and_see_only_their_own_tokens_an_admin_all(
    alice: Any, bob: Any, at: datetime
) -> None:
    mine, theirs = issue(alice).token, issue(bob).token
    with pytest.raises(NotFound):
        tokens.revoke(mine.pk, actor=ACTOR, now=at, user=bob)
    tokens.revoke(theirs.pk, actor=ACTOR, now=at, user=bob)
    tokens.revoke(theirs.pk, actor=ACTOR, now=at, user=bob)
    assert AuditEvent.objects.filter(action="token.revoke").count() == 1
    assert set(selectors.access_tokens(alice)) == {mine, theirs}
    assert [selectors.token_row(token, at).state for token in selectors.access_tokens(bob)] == ["revoked"]


@pytest.mark.django_db
def test_the_role_of_everybody(alice: Any, bob: Any, charlie: Any) -> None:
    assert [roles.role_of(user) for user in (alice, bob, charlie)] == [Role.ADMIN, Role.OPERATOR, Role.VIEWER]
    root = make_user("root", "viewer", is_superuser=True)
    nobody = make_user("nobody", "admin", is_active=False)
    plain = type(alice).objects.create_user("plain")
    assert [roles.role_of(u) for u in (root, nobody, plain, AnonymousUser())] == [
        Role.ADMIN,
        Role.NONE,
        Role.VIEWER,
        Role.NONE,
    ]


@pytest.mark.django_db
@pytest.mark.parametrize("has", ["viewer", "operator", "trader", "admin"])
@pytest.mark.parametrize("needs", ["viewer", "operator", "trader", "admin"])
def test_a_role_includes_all_lower_ones(has: str, needs: str) -> None:
    user, order = make_user("someone", has), ["viewer", "operator", "trader", "admin"]
    if order.index(has) >= order.index(needs):
        roles.require(user, roles.parse(needs))
    else:
        with pytest.raises(Refused, match=f"needs the role {needs}; you have {has}"):
            roles.require(user, roles.parse(needs))


@pytest.mark.django_db
def test_changing_a_role_is_audited_and_counts_at_once(bob: Any) -> None:
    services.change_role(bob, Role.TRADER, actor=ACTOR)
    services.change_role(bob, Role.TRADER, actor=ACTOR)
    assert roles.role_of(type(bob).objects.get(pk=bob.pk)) == Role.TRADER
    event = AuditEvent.objects.get(action="user.role")
    assert (event.before, event.after) == ({"role": "operator"}, {"role": "trader"})
    with pytest.raises(Invalid):
        services.change_role(bob, Role.NONE, actor=ACTOR)


@pytest.mark.django_db
def test_preferences_are_checked_field_by_field(bob: Any) -> None:
    changed = services.change_preferences(bob, language="fr", time_zone="Europe/Paris", theme="dark")
    assert (changed.language, changed.time_zone, changed.theme, changed.palette) == (
        "fr",
        "Europe/Paris",
        "dark",
        "green-red",
    )
    with pytest.raises(Invalid) as caught:
        services.change_preferences(bob, time_zone="../../etc/passwd", theme="pink", base_currency="EUR")
    assert sorted(problem["pointer"] for problem in caught.value.errors) == ["#/theme", "#/time_zone"]
    assert roles.profile_of(bob).base_currency == "USD"


@pytest.mark.django_db
def test_site_settings_are_kept_and_audited(at: datetime) -> None:
    assert selectors.setting("demo", "off") == "off"
    services.put_setting("demo", {"on": True}, actor=ACTOR, now=at)
    services.put_setting("demo", {"on": True}, actor=ACTOR, now=at)
    assert selectors.setting("demo") == {"on": True}
    assert AuditEvent.objects.filter(action="setting.change").count() == 1
