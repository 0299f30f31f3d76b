"""Help and about. The pages shown when something went wrong are templates named by their status."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from tradingsite.foundation.web import reads


@reads
def help_page(request: HttpRequest) -> HttpResponse:
    """What the words mean, how the parts fit, which keys there are."""
    return render(request, "pages/help.html", {})


@reads
def about(request: HttpRequest) -> HttpResponse:
    """Version, licences of what the browser gets, the notice about charts."""
    return render(request, "pages/about.html", {})
