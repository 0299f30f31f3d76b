"""A small site around the foundation, so that its behaviour is tested without the pages of others."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.urls import include, path, re_path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from tradingsite.foundation import handlers
from tradingsite.foundation.api.params import choices, instant, integer
from tradingsite.foundation.api.views import ApiView, ListView, StrictSerializer, UnknownRoute, path_both
from tradingsite.foundation.errors import Locked, NotFound, RiskRefused, Unavailable
from tradingsite.foundation.roles import Role

from .rows import Parcel

handler400, handler403, handler404, handler500 = (
    handlers.handler400, handlers.handler403, handlers.handler404, handlers.handler500,
)  # fmt: skip


class ParcelBody(StrictSerializer):
    note = serializers.CharField(max_length=20)
    weight = serializers.IntegerField(min_value=0, required=False)


class ParcelList(ListView):
    params = {"status": choices("new", "sent"), "since": instant, "weight": integer(0, 100)}

    def rows(self) -> Any:
        found = Parcel.objects.all()
        return found.filter(status__in=self.query["status"]) if "status" in self.query else found

    def item(self, row: Parcel) -> dict[str, Any]:
        return {"id": row.pk, "note": row.note, "created_at": row.created_at}

    def post(self, request: Request) -> Response:
        row = Parcel.objects.create(**self.body(ParcelBody))
        return Response(self.item(row), status=201, headers={"Location": f"/api/parcels/{row.pk}/"})


class ParcelDetail(ApiView):
    required_role = {"DELETE": Role.ADMIN}

    def get(self, request: Request, pk: int) -> Response:
        row = Parcel.objects.filter(pk=pk).first()
        if row is None:
            raise NotFound("There is no such parcel.")
        return Response({"id": row.pk, "note": row.note})

    def patch(self, request: Request, pk: int) -> Response:
        Parcel.objects.filter(pk=pk).update(**self.body(ParcelBody))
        return self.get(request, pk)

    def delete(self, request: Request, pk: int) -> Response:
        Parcel.objects.filter(pk=pk).delete()
        return Response(status=204)


class OrderLike(ApiView):
    required_role = Role.TRADER
    throttle_scope = "orders"
    idempotency_required = True

    def post(self, request: Request) -> Response:
        kind = request.data.get("kind")
        if kind == "risky":
            Parcel.objects.create(note="denied")
            raise RiskRefused("The order is above the limit.", limit="10")
        if kind == "locked":
            raise Locked("The kill switch is engaged.")
        if kind == "down":
            raise Unavailable("The broker does not answer.", code="broker-unavailable")
        row = Parcel.objects.create(note=kind or "order")
        return Response({"id": row.pk}, status=201)


class Crash(ApiView):
    def get(self, request: Request, how: str) -> Response:
        if how == "nan":
            return Response({"sharpe": float("nan")})
        raise RuntimeError("secret detail /etc/passwd")


@login_not_required
def login_page(request: HttpRequest) -> HttpResponse:
    return HttpResponse("<h1>login</h1>")


@login_not_required
def setup_page(request: HttpRequest) -> HttpResponse:
    return HttpResponse("<h1>setup</h1>")


def overview(request: HttpRequest) -> HttpResponse:
    return HttpResponse("<h1>overview</h1>")


def crash_page(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("secret detail /etc/passwd")


pages = ([path("login/", login_page, name="login"), path("", overview, name="overview")], "pages")

urlpatterns = [
    path("setup/", setup_page),
    path("crash/", crash_page),
    path("", include(pages)),
    path("back/", admin.site.urls),
    path("api/docs/", overview),
    path("api/plain-crash/", crash_page),
    path(
        "api/",
        include(
            [
                *path_both("parcels", ParcelList.as_view(), "parcels"),
                *path_both("parcels/<int:pk>", ParcelDetail.as_view(), "parcel"),
                *path_both("orderlike", OrderLike.as_view(), "orderlike"),
                *path_both("crash/<str:how>", Crash.as_view(), "crash"),
            ]
        ),
    ),
    re_path(r"^api/", UnknownRoute.as_view()),
]
