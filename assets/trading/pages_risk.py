"""Risk: score and parts, limits and how full they are, protections, stress; and the form that changes limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from assets.markets.selectors import pages as markets
from assets.trading.selectors import pages as reads_
from assets.trading.selectors import risk
from assets.trading.services import limits
from tradingsite.foundation import audit, clock, login
from tradingsite.foundation.errors import DomainError, Invalid, NotAuthenticated, NotFound
from tradingsite.foundation.roles import Role
from tradingsite.foundation.typed_numbers import parse
from tradingsite.foundation.web import done, form, fragment, posts, pulse, reads, version_of


def _context() -> dict[str, Any]:
    return {"accounts": risk.assess(clock.now()), "version": _version()}


def _version() -> str:
    return version_of(
        *pulse(
            *reads_.TRADING_PULSE, *markets.MARKET_PULSE, "SELECT MAX(id) FROM trading_limitchange",
            "SELECT MAX(ended_at) FROM trading_limitchange", "SELECT MAX(id) FROM trading_protectionrelease",
            "SELECT MAX(id) FROM trading_riskpoint",
        )
    )  # fmt: skip


@reads
def overview(request: HttpRequest) -> HttpResponse:
    """Every account in use."""
    return render(request, "trading/risk.html", _context())


@reads
def rows(request: HttpRequest) -> HttpResponse:
    """The same without the frame, or 204."""
    return fragment(request, "trading/_risk_rows.html", _version(), _context)


def _account(pk: int) -> risk.AccountRisk:
    found = next((row for row in risk.assess(clock.now()) if row.pk == pk), None)
    if found is None:
        raise NotFound(_("There is no account %(id)s.") % {"id": pk})
    return found


@form(Role.TRADER)
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    """The limits of one account. What loosens asks for the password and waits ten minutes."""
    row = _account(pk)
    if request.method != "POST":
        return render(request, "trading/limits.html", _form(row, {}, {}))
    posted = {key: str(value) for key, value in request.POST.items()}
    try:
        outcome = _save(request, row, posted)
    except NotAuthenticated as error:
        return render(
            request, "trading/limits.html", _form(row, posted, {"password": error.message}), status=422
        )
    except Invalid as error:
        errors = {problem["pointer"].removeprefix("#/"): problem["detail"] for problem in error.errors}
        context = _form(row, posted, errors, "" if errors else error.message)
        return render(request, "trading/limits.html", context, status=422)
    return done(request, _told(outcome), "pages:risk")


def _told(outcome: limits.Outcome) -> str:
    parts = []
    if outcome.applied:
        parts.append(_("In force now: %(names)s.") % {"names": _names(outcome.applied)})
    if outcome.waiting:
        parts.append(_("In force in ten minutes: %(names)s.") % {"names": _names(outcome.waiting)})
    return " ".join(parts) or _("Nothing was changed.")


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(str(limits.BY_NAME[name].label) for name in names)


def _save(request: HttpRequest, row: risk.AccountRisk, posted: Mapping[str, str]) -> limits.Outcome:
    values = _read(posted)
    looser = bool(limits.loosening(row.pk, values))
    if looser and not login.is_confirmed(request):
        login.confirm(request=request, password=posted.get("password", ""))
    return limits.change(
        row.pk, values, actor=audit.actor_of(request), now=clock.now(), reason=posted.get("reason", "")[:200],
        may_loosen=looser,
    )  # fmt: skip


def _read(posted: Mapping[str, str]) -> dict[str, Any]:
    """What the form says. Raises Invalid with one problem per field that is not what it should be."""
    values: dict[str, Any] = {}
    problems: list[Any] = []
    for field in limits.FIELDS:
        text = posted.get(field.name, "").strip()
        if field.kind == "flag":
            values[field.name] = field.name in posted
        elif field.kind == "symbols":
            values[field.name] = [part.strip().upper() for part in text.split(",") if part.strip()]
        else:
            try:
                values[field.name] = parse(text)
            except DomainError as error:
                problems.append({"pointer": f"#/{field.name}", "code": error.code, "detail": error.message})
    if problems:
        raise Invalid(_("Please correct the marked fields."), errors=problems)
    return values


def _form(
    row: risk.AccountRisk, posted: Mapping[str, str], errors: Mapping[str, str], general: str = ""
) -> dict[str, Any]:
    fields = []
    for use in row.limits:
        field = limits.BY_NAME[use.name]
        stored: Any = use.stored
        value: Any = posted.get(use.name, "") if posted else stored
        if field.kind == "flag":
            value = use.name in posted if posted else bool(stored)
        elif field.kind == "symbols" and not posted:
            value = ", ".join(stored)
        fields.append(
            {
                "id": f"f-{use.name}", "name": use.name, "label": field.label, "help": field.help, "value": value,
                "kind": "check" if field.kind == "flag" else "text", "unit": "", "error": errors.get(use.name, ""),
            }
        )  # fmt: skip
    problems = [{"id": f["id"], "label": f["label"], "text": f["error"]} for f in fields if f["error"]]
    if "password" in errors:
        problems.append({"id": "f-password", "label": _("Password"), "text": errors["password"]})
    return {
        "row": row, "fields": fields, "problems": problems, "general": general, "errors": errors,
        "reason": posted.get("reason", ""),
    }  # fmt: skip


@posts(Role.TRADER)
def withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a waiting change back."""
    limits.withdraw(pk, actor=audit.actor_of(request), now=clock.now())
    return done(request, _("The change is taken back."), "pages:risk")


@posts(Role.TRADER)
def release(request: HttpRequest, pk: int) -> HttpResponse:
    """Let a protection go, with a reason."""
    posted = request.POST
    limits.release(
        pk, posted.get("kind", ""), posted.get("subject", ""), actor=audit.actor_of(request), now=clock.now(),
        reason=posted.get("reason", ""),
    )  # fmt: skip
    return done(request, _("The protection is released."), "pages:risk")
