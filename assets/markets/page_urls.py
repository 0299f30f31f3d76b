"""Addresses of the market pages; included by the site."""

from django.urls import path

from assets.markets import pages

urlpatterns = [
    path("instruments/", pages.instruments, name="instruments"),
    path("ui/instruments/rows/", pages.instrument_rows, name="instrument-rows"),
]
