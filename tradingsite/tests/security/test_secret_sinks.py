"""A venue's key is put in once, everything that could write it down runs, and it is looked for wherever things are kept."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings as django_settings
from django.contrib import admin
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse

from assets.trading import brokers
from assets.trading.brokers import venue_keys
from assets.trading.models import VenueKey
from assets.trading.services import orders, reconciliation, venues
from assets.trading.tests import kit
from assets.trading.tests.brokers.desk import make
from assets.trading.tests.brokers.test_binance import BinanceDesk
from assets.trading.tests.venues.binance import BinanceVenue, Fault
from tradingsite.foundation import alerts, clock
from tradingsite.foundation.errors import DomainError
from tradingsite.foundation.models import Alert, AuditEvent
from tradingsite.foundation.testkit import PASSWORD, make_user, token_for
from tradingsite.tests.api_routes import api_routes, fill, patterns

pytestmark = pytest.mark.django_db
KEY, SECRET = "CanaryKeyZx81QwErTy0000WXYZ", "CanarySecretPq55LmNoPq7777VUTS"
CANARIES = (KEY, SECRET)


def clean(text: str, where: str) -> None:
    assert not [canary for canary in CANARIES if canary in text], where


@pytest.fixture
def venue(settings: Any) -> Iterator[BinanceVenue]:
    with BinanceVenue(clock.RealClock().now) as found:
        settings.BINANCE_URL, settings.LIVE_TRADING_ENABLED, settings.TRADING_FEED = found.url, True, "replay"
        yield found


@pytest.fixture
def boss(client: Client) -> Client:
    client.force_login(make_user("boss", "admin", is_staff=True, is_superuser=True))
    client.raise_request_exception = False
    return client


@pytest.fixture
def used(venue: BinanceVenue, boss: Client, caplog: Any) -> dict[str, str]:
    """The key stored by the page; then checks, passes and orders that the venue refuses, times out on, or answers wrongly.

    What each of them said, by place.
    """
    caplog.set_level(logging.DEBUG)
    desk, said = BinanceDesk(venue), {}
    account, now = desk.account, clock.now()
    minute = now.replace(second=0, microsecond=0)
    kit.bars(desk.instrument, minute - 5 * kit.MINUTE, [100.0] * 5)
    kit.switch()
    form = {"key": KEY, "secret": SECRET, "password": PASSWORD}
    said["answers to the form"] = ""
    for values in (form | {"password": "wrong"}, form | {"secret": "two words"}, form):
        answer = boss.post(f"/settings/brokers/{account.pk}/key/", values)
        said["answers to the form"] += answer.content.decode() + str(answer.headers) + str(answer.cookies)
    if not VenueKey.objects.exists():
        venue_keys.store(account, KEY, SECRET, actor=audit_actor(), now=now)
    type(account).objects.filter(pk=account.pk).update(reconciled_at=now)
    said["errors"] = ""
    faults = [
        None, Fault("", status=503, times=3), Fault("", drop="before", times=3), Fault("", status=200, body=b"<html>", times=3),
    ]  # fmt: skip
    for fault in faults:
        if fault is not None:
            venue.faults.append(fault)
        for act in (
            lambda: venues.check_key(account.name, clock.now()),
            lambda: reconciliation.reconcile(account, clock.now()),
            lambda: orders.send_order(make(desk, limit="50").pk, guard=orders.no_guard, now=clock.now()),
        ):
            try:
                said["errors"] += str(act())
            except DomainError as error:
                said["errors"] += str(error) + repr(error) + str(error.detail) + traceback.format_exc()
    said["logs"] = caplog.text + "".join(str(vars(record)) for record in caplog.records)
    said["what the venue was asked in addresses"] = str(venue.requests)
    return said


def audit_actor() -> Any:
    from tradingsite.foundation import audit

    return audit.system("test")


def test_answers_errors_logs_and_addresses_hold_no_key(used: dict[str, str]) -> None:
    assert VenueKey.objects.count() == 1 and venue_keys.read(VenueKey.objects.get().account) == CANARIES
    assert len(used["errors"]) > 500 and len(used["logs"]) > 500
    for where, text in used.items():
        clean(text, where)


def test_no_page_no_api_answer_and_no_administration_page_holds_it(
    used: dict[str, str], boss: Client, alice: Any
) -> None:
    seen = 0
    routes = [
        r
        for r, _p in patterns()
        if "^" not in r and "\\" not in r and not r.startswith(("api/", "backoffice/"))
    ]
    for route in routes:
        for pk in (1, VenueKey.objects.get().account_id):
            answer = boss.get(fill(route, pk=pk))
            body = b"".join(answer.streaming_content) if answer.streaming else answer.content
            clean(body.decode() + str(answer.headers), route)
            seen += answer.status_code == 200
    api = Client(headers={"Authorization": f"Token {token_for(alice, 'admin')}"})
    for route in api_routes():
        answer = api.get(fill(route))
        clean(answer.content.decode() + str(answer.headers), route)
        seen += answer.status_code == 200
    for model in admin.site._registry:
        name = f"{model._meta.app_label}_{model._meta.model_name}"
        urls = [reverse(f"admin:{name}_changelist")]
        urls += [reverse(f"admin:{name}_change", args=[row.pk]) for row in model._default_manager.all()[:3]]
        for url in urls:
            clean(boss.get(url).content.decode(), url)
            seen += 1
    assert seen > 60


def test_no_table_holds_it_in_clear(used: dict[str, str]) -> None:
    read = 0
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            clean(str(cursor.fetchall()), table)
            read += 1
    assert read > 30


def test_audit_alerts_sessions_and_texts_of_objects_do_not_hold_it(used: dict[str, str]) -> None:
    assert AuditEvent.objects.filter(action="venue-key.store").exists()
    clean(json.dumps(list(AuditEvent.objects.values()), default=str), "audit")
    clean(str([(alerts.title(row), alerts.body(row), row.params) for row in Alert.objects.all()]), "alerts")
    clean(str([session.get_decoded() for session in Session.objects.all()]), "sessions")
    row = VenueKey.objects.select_related("account").get()
    clean(
        f"{row!r} {row} {vars(row)} {row.account!r} {brokers.get(row.account)!r} {brokers.get(row.account)}",
        "objects",
    )


def test_commands_and_their_errors_do_not_print_it(
    used: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name, out = VenueKey.objects.get().account.name, io.StringIO()
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{KEY}\n{SECRET}\n"))
    for command in (
        ["venue_key", "store", name],
        ["venue_key", "check", name],
        ["venue_key", "rotate"],
        ["reconcile"],
    ):
        try:
            call_command(*command, "--json", stdout=out, stderr=out)
        except SystemExit:
            pass
    assert out.getvalue()
    clean(out.getvalue(), "commands")


def test_neither_the_environment_nor_the_arguments_nor_a_file_holds_it(used: dict[str, str]) -> None:
    clean(str(os.environ), "environment")
    clean(str(sys.argv), "arguments")
    files = [path for path in Path(django_settings.VAR_DIR).rglob("*") if path.is_file()]
    for path in files:
        text = path.read_bytes().decode("utf-8", "ignore")
        clean(text, str(path))


def test_a_page_that_breaks_does_not_tell_it(
    used: dict[str, str], boss: Client, monkeypatch: Any, caplog: Any
) -> None:
    from assets.trading import pages_brokers

    def broken(*args: Any, **more: Any) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(pages_brokers.venues, "store_checked", broken)
    form = {"key": KEY, "secret": SECRET, "password": PASSWORD}
    answer = boss.post(f"/settings/brokers/{VenueKey.objects.get().account_id}/key/", form)
    assert answer.status_code == 500
    clean(answer.content.decode() + caplog.text, "the page of an error")


def test_the_stored_rows_are_sealed_and_no_model_field_shows_more_than_the_hint(used: dict[str, str]) -> None:
    row = VenueKey.objects.get()
    assert row.hint.endswith(KEY[-4:]) and len(row.hint) <= 5
    assert not any(model._meta.label == "trading.VenueKey" for model in admin.site._registry)
    assert apps.get_model("trading", "VenueKey") is VenueKey
