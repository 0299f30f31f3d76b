"""Settings of venues: accounts, their keys (written, never read back), and what a check of the venue said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters

from assets.trading.selectors import venues as reads_
from assets.trading.services import reconciliation, venue_accounts, venues
from tradingsite.foundation import audit, clock, login
from tradingsite.foundation.errors import DomainError, Invalid, NotAuthenticated, NotFound, Unavailable
from tradingsite.foundation.roles import Role
from tradingsite.foundation.typed_numbers import parse
from tradingsite.foundation.web import done, field_errors, form, posts, reads_as

_TEXTS = ("name", "broker", "asset_type", "currency")
_MONEY = ("max_order_notional", "max_daily_loss_ratio", "max_drawdown_ratio")


def _labels() -> dict[str, str]:
    return {
        "name": _("Name"), "broker": _("Broker"), "asset_type": _("Kind of asset"), "currency": _("Currency"),
        "max_order_notional": _("Largest order"), "max_daily_loss_ratio": _("Loss of a day"),
        "max_drawdown_ratio": _("Drawdown"), "password": _("Password"), "key": _("API key"), "secret": _("API secret"),
    }  # fmt: skip


def _helps() -> dict[str, str]:
    return {
        "name": _("2 to 40 small letters, digits and hyphens."), "broker": "", "asset_type": "",
        "currency": _("Three to six capital letters, e.g. USD or USDT."),
        "max_order_notional": _("In the account's currency."), "max_daily_loss_ratio": _("0.05 is 5 %."),
        "max_drawdown_ratio": _("0.2 is 20 %."),
    }  # fmt: skip


def _problems(errors: Mapping[str, str]) -> list[dict[str, str]]:
    labels = _labels()
    return [
        {"id": f"f-{name}", "label": labels.get(name, name), "text": text} for name, text in errors.items()
    ]


@reads_as(Role.ADMIN)
def brokers(request: HttpRequest) -> HttpResponse:
    """Every account at a venue."""
    return render(request, "trading/brokers.html", {"accounts": reads_.accounts()})


@sensitive_post_parameters("password")
@form(Role.ADMIN)
def create(request: HttpRequest) -> HttpResponse:
    """A new account at a venue; it sends nothing before it was switched to live."""
    if request.method != "POST":
        return render(request, "trading/broker_new.html", _form({}, {}))
    posted = {name: str(value).strip() for name, value in request.POST.items()}
    try:
        wanted = _read(posted)
        login.confirm(request=request, password=request.POST.get("password", ""))
        account = venue_accounts.create(wanted, actor=audit.actor_of(request), now=clock.now())
    except NotAuthenticated as error:
        return render(
            request, "trading/broker_new.html", _form(posted, {"password": error.message}), status=422
        )
    except Invalid as error:
        return render(request, "trading/broker_new.html", _form(posted, field_errors(error)), status=422)
    return done(
        request,
        _("The account %(name)s is made. Now store its key.") % {"name": account.name},
        "pages:brokers",
    )


def _read(posted: Mapping[str, str]) -> venue_accounts.Wanted:
    values: dict[str, Any] = {name: posted.get(name, "") for name in _TEXTS}
    problems: list[Any] = []
    for name in _MONEY:
        try:
            values[name] = parse(posted.get(name, ""))
        except DomainError as error:
            problems.append({"pointer": f"#/{name}", "code": error.code, "detail": error.message})
    if problems:
        raise Invalid(_("Please correct the marked fields."), errors=problems)
    return venue_accounts.Wanted(**values)


def _form(posted: Mapping[str, str], errors: Mapping[str, str]) -> dict[str, Any]:
    choices = {"broker": venue_accounts.BROKERS, "asset_type": venue_accounts.asset_types()}
    labels, helps = _labels(), _helps()
    fields = [
        {
            "id": f"f-{name}", "name": name, "label": labels[name], "help": help_, "value": posted.get(name, ""),
            "kind": "choice" if name in choices else "text", "choices": choices.get(name, ()), "unit": "",
            "error": errors.get(name, ""),
        }
        for name, help_ in helps.items()
    ]  # fmt: skip
    return {"fields": fields, "errors": errors, "problems": _problems(errors)}


def _account(pk: int) -> reads_.VenueAccount:
    found = reads_.account(pk)
    if found is None:
        raise NotFound(_("There is no account %(id)s at a venue.") % {"id": pk})
    return found


@sensitive_post_parameters("password", "key", "secret")
@form(Role.ADMIN)
def key(request: HttpRequest, pk: int) -> HttpResponse:
    """Store a key in place of the one before; the fields are never filled with what is stored."""
    account = _account(pk)
    if request.method != "POST":
        return _key_page(request, account, {})
    try:
        login.confirm(request=request, password=request.POST.get("password", ""))
        report = venues.store_checked(
            account.name, request.POST.get("key", ""), request.POST.get("secret", ""),
            actor=audit.actor_of(request), now=clock.now(),
        )  # fmt: skip
    except NotAuthenticated as error:
        return _key_page(request, account, {"password": error.message}, status=422)
    except Invalid as error:
        return _key_page(request, account, {"key": error.message}, status=422)
    if report is None:
        return done(
            request,
            _("The key is stored. The venue did not answer: what it may do is unknown."),
            "pages:brokers",
        )
    return done(request, _("The key is stored and was checked: it cannot withdraw."), "pages:brokers")


def _key_page(
    request: HttpRequest, account: reads_.VenueAccount, errors: dict[str, str], status: int = 200
) -> HttpResponse:
    context = {"account": account, "errors": errors, "problems": _problems(errors)}
    return render(request, "trading/broker_key.html", context, status=status)


@sensitive_post_parameters("password")
@posts(Role.ADMIN)
def remove_key(request: HttpRequest, pk: int) -> HttpResponse:
    """Forget the key, with the password."""
    account = _account(pk)
    try:
        login.confirm(request=request, password=request.POST.get("password", ""))
    except NotAuthenticated as error:
        return _key_page(request, account, {"password": error.message}, status=422)
    venues.remove_key(account.name, actor=audit.actor_of(request), now=clock.now())
    return done(request, _("The key is removed."), "pages:brokers")


@posts(Role.ADMIN)
def check(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask the venue what the key may do, then compare the books."""
    account = _account(pk)
    try:
        report = venues.check_key(account.name, clock.now())
        reconciliation.reconcile(venue_accounts.stored(pk), clock.now())
    except Unavailable:
        return done(request, _("The venue did not answer: what the key may do is unknown."), "pages:brokers")
    if report.can_withdraw:
        return done(
            request,
            _("This key may withdraw money: it is refused. Make one that may only trade."),
            "pages:brokers",
        )
    return done(request, _("The key was checked: it cannot withdraw."), "pages:brokers")
