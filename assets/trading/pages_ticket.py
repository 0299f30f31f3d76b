"""The order ticket: preview, place, cancel. Paper accounts only."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import uuid4

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _

from assets.markets.selectors import pages as markets
from assets.trading.selectors.words import code_words
from assets.trading.services import orders, ticket
from assets.trading.services.ticket import Ticket
from tradingsite.foundation import audit, clock
from tradingsite.foundation.errors import DomainError, Invalid, RiskRefused
from tradingsite.foundation.roles import Role
from tradingsite.foundation.typed_numbers import parse
from tradingsite.foundation.web import done, form, posts, reads

FIELDS = ("side", "quantity", "kind", "limit_price")


@form(Role.TRADER)
def order_ticket(request: HttpRequest, pk: int) -> HttpResponse:
    """The form of one instrument. A refusal keeps what was typed; the same form sent twice is one order."""
    if request.method != "POST":
        return render(request, "trading/ticket.html", _context(pk, request.GET.dict(), {}))
    posted = {key: str(value) for key, value in request.POST.items()}
    try:
        order = ticket.place(
            _read(pk, posted), posted.get("token", ""), actor=audit.actor_of(request), now=clock.now()
        )
    except RiskRefused as error:
        # A new form: what was refused may be sent again, changed or not.
        context = _context(pk, {**posted, "token": ""}, {}, error)
        return render(request, "trading/ticket.html", context, status=422)
    except Invalid as error:
        errors = {problem["pointer"].removeprefix("#/"): problem["detail"] for problem in error.errors}
        context = _context(pk, posted, errors, None if errors else error)
        return render(request, "trading/ticket.html", context, status=422)
    return done(request, _("The order is placed."), reverse("pages:order", args=[order.pk]))


@reads
def preview(request: HttpRequest, pk: int) -> HttpResponse:
    """What the form as typed would do; a hint where it is not complete."""
    return render(request, "trading/_ticket_preview.html", _preview(pk, request.GET.dict()))


def _context(
    pk: int, posted: Mapping[str, str], errors: Mapping[str, str], problem: DomainError | None = None
) -> dict[str, Any]:
    row = markets.instrument(pk, clock.now())
    typed = {name: posted.get(name, "") for name in FIELDS}
    names = {"quantity": _("Quantity"), "limit_price": _("Limit price"), "side": _("Side")}
    return {
        "row": row, "typed": typed, "errors": errors, "token": posted.get("token") or uuid4().hex,
        "problems": [{"id": f"f-{k}", "label": names.get(k, k), "text": v} for k, v in errors.items()],
        "general": problem.message if problem else "", **_preview(pk, typed),
    }  # fmt: skip


def _preview(pk: int, typed: Mapping[str, str]) -> dict[str, Any]:
    if not typed.get("quantity"):
        return {"pk": pk, "preview": None, "hint": _("Enter a quantity to see what the order would do.")}
    try:
        found = ticket.preview(_read(pk, typed), clock.now())
    except DomainError as error:
        return {"pk": pk, "preview": None, "hint": error.message}
    words = {
        "switch": _("Switch, account and venue"), "market": _("Market open, price fresh"),
        "filters": _("Lot and smallest amounts"), "band": _("Price band"), "rate": _("Orders a minute"),
        "losses": _("Losses, protections, allowed instruments"), "exposure": _("Exposure and buying power"),
    }  # fmt: skip
    rules = [
        (words.get(name, name), denial is None, "" if denial is None else code_words(denial.code), denial)
        for name, denial in found.rules
    ]
    return {"pk": pk, "preview": found, "rules": rules, "hint": ""}


def _read(pk: int, typed: Mapping[str, str]) -> Ticket:
    problems: list[Any] = []

    def number(name: str) -> Decimal:
        try:
            return parse(typed.get(name, ""))
        except Invalid as error:
            problems.append({"pointer": f"#/{name}", "code": error.code, "detail": error.message})
            return Decimal(1)

    quantity = number("quantity")
    limit = number("limit_price") if typed.get("kind") == "limit" else None
    if problems:
        raise Invalid(_("Please correct the marked fields."), errors=problems)
    return Ticket(instrument_id=pk, side=typed.get("side") or "buy", quantity=quantity, limit_price=limit)


@posts(Role.TRADER)
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Take an order back; one that was filled first says so."""
    order = orders.cancel(pk, actor=audit.actor_of(request), now=clock.now(), reason="by hand")
    if order.status == "filled":
        text = _("Filled before the cancel arrived.")
    elif order.status == "cancelled":
        text = _("The order is cancelled.")
    else:
        text = _("The cancel is on its way; the venue has not confirmed it.")
    return done(request, text, reverse("pages:order", args=[pk]))
