"""Instruments come from the asset types; their twins are made with them."""

from dataclasses import replace

import pytest

from assets.markets import universe
from assets.markets.models import Instrument
from assets.markets.services import instruments

from .conftest import NOW


@pytest.mark.django_db
def test_declared_instruments_get_a_row_and_a_simulated_twin_once(toy_universe):
    assert instruments.sync_universe(NOW) >= 2
    assert instruments.sync_universe(NOW) == 0
    real, twin = Instrument.objects.get(symbol="TOYUSDT"), Instrument.objects.get(symbol="TOYUSDT.DEMO")
    assert (real.is_demo, real.venue) == (False, "binance")
    assert (twin.is_demo, twin.venue, twin.asset_type, twin.calendar) == (True, "simulated", "toy", "24x7")


@pytest.mark.django_db
def test_what_a_person_or_the_venue_set_is_kept_and_descriptions_follow(toy_universe):
    instruments.sync_universe(NOW)
    Instrument.objects.filter(symbol="TOYUSDT").update(is_active=False, tick_size="0.5", name="old")
    universe._specs["TOYUSDT"] = replace(universe._specs["TOYUSDT"], name="Toy coin")
    assert instruments.sync_universe(NOW) >= 1
    row = Instrument.objects.get(symbol="TOYUSDT")
    assert (row.is_active, str(row.tick_size), row.name) == (False, "0.5", "Toy coin")


def test_a_symbol_belongs_to_one_type_and_costs_are_never_zero(toy_universe):
    spec = universe.find("TOYUSDT")
    with pytest.raises(ValueError, match="belongs to"):
        universe.register("other", [spec])
    with pytest.raises(ValueError, match="above 0"):
        universe.register("toy", [replace(spec, half_spread_bps=0.0)])


def test_a_twin_is_found_by_its_symbol(toy_universe):
    assert universe.find("TOYUSDT.DEMO").is_demo
    assert universe.find("NOPE.DEMO") is None
