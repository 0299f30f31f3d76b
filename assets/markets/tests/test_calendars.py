"""Opening hours against tables computed another way, through every change of summer time."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from assets.markets import calendars
from assets.markets.models import CalendarDay
from assets.markets.services import calendar_days

HOUR = timedelta(hours=1)

# Days on which clocks change, written down from the law, not computed: (spring, autumn) as local dates.
US = {
    2024: (date(2024, 3, 10), date(2024, 11, 3)),
    2025: (date(2025, 3, 9), date(2025, 11, 2)),
    2026: (date(2026, 3, 8), date(2026, 11, 1)),
}
EU = {
    2024: (date(2024, 3, 31), date(2024, 10, 27)),
    2025: (date(2025, 3, 30), date(2025, 10, 26)),
    2026: (date(2026, 3, 29), date(2026, 10, 25)),
}
AU = {
    2024: (date(2024, 4, 7), date(2024, 10, 6)),
    2025: (date(2025, 4, 6), date(2025, 10, 5)),
    2026: (date(2026, 4, 5), date(2026, 10, 4)),
}


def offset_hours(centre: str, at: datetime) -> int:
    """Hours east of UTC by the rules above. `at` is UTC and whole hours; clocks change at the UTC hours below."""
    if centre == "Tokyo":
        return 9
    if centre == "Sydney":  # at 02:00 standard time = 16:00 UTC the day before; summer is around new year
        spring_back, forward = (
            datetime(d.year, d.month, d.day, 16, tzinfo=UTC) - timedelta(days=1) for d in AU[at.year]
        )
        return 10 if spring_back <= at < forward else 11
    if centre == "London":  # at 01:00 UTC
        start, end = (datetime(d.year, d.month, d.day, 1, tzinfo=UTC) for d in EU[at.year])
        return 1 if start <= at < end else 0
    start, end = US[at.year]  # New York: 02:00 local = 07:00 UTC in spring, 06:00 UTC in autumn
    summer = (
        datetime(start.year, start.month, start.day, 7, tzinfo=UTC)
        <= at
        < datetime(end.year, end.month, end.day, 6, tzinfo=UTC)
    )
    return -4 if summer else -5


HOURS = {"Sydney": (7, 16), "Tokyo": (9, 18), "London": (8, 17), "New York": (8, 17)}


def golden(at: datetime) -> tuple[bool, str]:
    new_york = at + timedelta(hours=offset_hours("New York", at))
    hour_of_week = new_york.weekday() * 24 + new_york.hour
    if 4 * 24 + 17 <= hour_of_week < 6 * 24 + 17:
        return False, ""
    into_day = new_york + timedelta(hours=7)  # the currency day begins at 17:00 in New York on the eve
    if (into_day.month, into_day.day) in ((12, 25), (1, 1)):
        return False, ""
    running = []
    for centre, (opens, closes) in HOURS.items():
        local = at + timedelta(hours=offset_hours(centre, at))
        if local.weekday() < 5 and opens <= local.hour < closes:
            running.append(centre)
    return True, "+".join(running)


@pytest.mark.parametrize("year", [2024, 2025, 2026])
def test_f48_every_hour_of_the_currency_week_matches_the_golden_table(year):
    calendar = calendars.get("fx-week")
    at = datetime(year, 1, 1, tzinfo=UTC)
    wrong = []
    while at.year == year:
        if (calendar.is_open(at), calendar.session(at)) != golden(at):
            wrong.append((at, calendar.session(at), golden(at)))
        at += HOUR
    assert not wrong, wrong[:5]


def test_f48_the_three_odd_weeks_have_five_hours_of_london_and_new_york():
    calendar = calendars.get("fx-week")

    def overlap(day: datetime) -> int:
        sessions = [calendar.session(day + n * HOUR) for n in range(24)]
        return sum("London" in s and "New York" in s for s in sessions)

    assert overlap(datetime(2026, 3, 4, tzinfo=UTC)) == 4
    assert overlap(datetime(2026, 3, 18, tzinfo=UTC)) == 5  # New York has changed, London has not
    assert overlap(datetime(2026, 10, 28, tzinfo=UTC)) == 5
    assert overlap(datetime(2026, 11, 4, tzinfo=UTC)) == 4


@pytest.mark.parametrize("key", ["fx-week", "24x7"])
def test_the_mask_of_many_times_equals_single_questions(key):
    calendar = calendars.get(key)
    ts = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp()) + 1800 * np.arange(3000, dtype=np.int64)
    single = [calendar.is_open(datetime.fromtimestamp(int(t), UTC)) for t in ts]
    assert calendar.open_mask(ts).tolist() == single


def test_the_currency_week_opens_on_sunday_and_closes_on_friday_by_new_york():
    calendar = calendars.get("fx-week")
    saturday = datetime(2026, 3, 7, 12, tzinfo=UTC)
    assert calendar.closed_reason(saturday) == "weekend"
    # 8 March 2026: summer time begins in New York that very Sunday, so 17:00 is 21:00 UTC instead of 22:00.
    assert calendar.next_open(saturday) == datetime(2026, 3, 8, 21, tzinfo=UTC)
    assert calendar.next_close(saturday) == datetime(2026, 3, 13, 21, tzinfo=UTC)
    assert not calendar.is_open(datetime(2026, 3, 8, 20, 59, 59, tzinfo=UTC))
    assert calendar.is_open(datetime(2026, 3, 8, 21, tzinfo=UTC))
    assert calendar.last_edge(datetime(2026, 3, 10, 13, 30, tzinfo=UTC)) == datetime(
        2026, 3, 10, 12, tzinfo=UTC
    )


def test_christmas_and_new_year_are_closed_from_the_evening_before_and_no_gap():
    calendar = calendars.get("fx-week")
    for eve in (datetime(2014, 12, 24, tzinfo=UTC), datetime(2014, 12, 31, tzinfo=UTC)):
        closes, opens = eve + 22 * HOUR, eve + 46 * HOUR
        assert calendar.is_open(closes - HOUR) and not calendar.is_open(closes)
        assert calendar.closed_reason(eve + 30 * HOUR) == "holiday"
        assert calendar.next_open(eve + 30 * HOUR) == opens and calendar.is_open(opens)
        assert calendar.next_close(eve) == closes and calendar.last_edge(closes) == closes
        assert calendar.open_seconds(eve, eve + 48 * HOUR) == 24 * 3600
        assert calendar.trading_days_between(eve, eve + 48 * HOUR) == 1


def test_a_holiday_beside_a_weekend_makes_one_closing_of_both():
    calendar = calendars.get("fx-week")
    friday = datetime(2015, 12, 25, 12, tzinfo=UTC)  # Thursday evening to Sunday evening
    assert calendar.last_edge(datetime(2015, 12, 24, 22, tzinfo=UTC)) == datetime(
        2015, 12, 24, 22, tzinfo=UTC
    )
    assert calendar.next_open(friday) == datetime(2015, 12, 27, 22, tzinfo=UTC)
    sunday = datetime(2017, 12, 24, 23, tzinfo=UTC)  # Christmas on a Monday: the week begins a day later
    assert not calendar.is_open(sunday)
    assert calendar.next_open(sunday) == datetime(2017, 12, 25, 22, tzinfo=UTC)


def test_the_open_seconds_of_a_week_are_five_days():
    calendar = calendars.get("fx-week")
    start = datetime(2026, 6, 3, 9, 17, tzinfo=UTC)
    assert calendar.open_seconds(start, start + timedelta(days=7)) == 5 * 86400
    assert calendar.open_seconds(start, start - HOUR) == 0


@pytest.mark.parametrize("zone", ["Australia/Sydney", "Asia/Kolkata", "Asia/Kathmandu"])
def test_f49_the_zone_of_the_question_does_not_change_the_answer(zone):
    calendar = calendars.get("fx-week")
    at = datetime(2026, 3, 8, 20, 30, tzinfo=UTC)
    for step in range(48):
        moment = at + step * HOUR / 2
        local = moment.astimezone(ZoneInfo(zone))
        assert calendar.is_open(local) == calendar.is_open(moment)
        assert calendar.session(local) == calendar.session(moment)


def test_a_market_that_never_closes():
    calendar = calendars.get("24x7")
    at = datetime(2024, 2, 29, 3, tzinfo=UTC)
    assert calendar.is_open(at) and calendar.next_close(at) is None and calendar.closed_reason(at) == ""
    assert calendar.periods_per_year == 365


def test_an_unknown_calendar_is_named():
    with pytest.raises(calendars.CalendarMissing):
        calendars.get("moon")


# --- An exchange ------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_an_exchange_without_days_is_closed_and_says_why():
    at = datetime(2024, 3, 5, 16, tzinfo=UTC)
    calendar = calendars.get("XNYS")
    assert not calendar.is_open(at) and calendar.closed_reason(at) == "calendar_missing"
    assert calendar.next_open(at) is None
    with pytest.raises(calendars.CalendarMissing):
        calendars.require("XNYS", at)


@pytest.fixture
def new_york(db):
    calendar_days.sync("XNYS", datetime(2026, 6, 1, tzinfo=UTC), start=date(2023, 1, 1))
    return calendars.get("XNYS")


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "is_open", "reason"),
    [
        (utc(2024, 2, 29, 15), True, ""),  # leap day
        (utc(2024, 3, 8, 14, 29), False, "after_hours"),  # winter: opens 14:30 UTC
        (utc(2024, 3, 8, 14, 30), True, ""),
        (utc(2024, 3, 11, 13, 30), True, ""),  # the first Monday of summer time
        (utc(2024, 3, 29, 15), False, "holiday"),  # Good Friday
        (utc(2024, 7, 3, 16, 59), True, ""),  # half-day: closes at 13:00 New York
        (utc(2024, 7, 3, 17), False, "early_close"),
        (utc(2024, 7, 4, 15), False, "holiday"),
        (utc(2024, 11, 29, 18), False, "early_close"),  # the day after Thanksgiving
        (utc(2024, 12, 31, 20, 59), True, ""),  # year end
        (utc(2025, 1, 1, 15), False, "holiday"),
        (utc(2025, 1, 9, 15), False, "holiday"),  # national day of mourning
        (utc(2026, 3, 7, 15), False, "weekend"),
        (utc(2026, 3, 6, 21), False, "after_hours"),
        (utc(2026, 3, 7, 1), False, "weekend"),
    ],
)
def test_f50_holidays_half_days_and_year_ends_of_new_york(new_york, at, is_open, reason):
    assert (new_york.is_open(at), new_york.closed_reason(at)) == (is_open, reason)


def test_f48_the_session_of_new_york_moves_in_utc_with_its_own_clock(new_york):
    for day, hour in (
        (date(2026, 3, 6), 14),
        (date(2026, 3, 9), 13),
        (date(2026, 10, 30), 13),
        (date(2026, 11, 2), 14),
    ):
        row = CalendarDay.objects.get(calendar="XNYS", day=day)
        assert row.open_at == datetime(day.year, day.month, day.day, hour, 30, tzinfo=UTC)


def test_the_days_reach_two_years_ahead_and_a_second_sync_changes_nothing(new_york):
    assert new_york.next_open(utc(2028, 5, 1)) is not None
    again = calendar_days.sync("XNYS", datetime(2026, 6, 1, tzinfo=UTC), start=date(2023, 1, 1))
    assert (again.added, again.changed, again.removed) == (0, 0, 0)


def test_a_day_that_is_cancelled_later_disappears(new_york):
    CalendarDay.objects.create(
        calendar="XNYS", day=date(2025, 1, 9), open_at=utc(2025, 1, 9, 14, 30), close_at=utc(2025, 1, 9, 21)
    )
    report = calendar_days.sync("XNYS", datetime(2026, 6, 1, tzinfo=UTC), start=date(2023, 1, 1))
    assert report.removed == 1
    assert not calendars.get("XNYS").is_open(utc(2025, 1, 9, 15))


def test_edges_activity_and_seconds_of_an_exchange(new_york):
    noon = utc(2026, 3, 11, 17)
    assert new_york.last_edge(noon) == utc(2026, 3, 11, 13, 30)
    assert new_york.next_close(noon) == utc(2026, 3, 11, 20)
    assert new_york.activity(utc(2026, 3, 11, 13, 45)) > new_york.activity(noon) > 0
    assert new_york.activity(utc(2026, 3, 11, 3)) == 0
    assert new_york.open_seconds(utc(2026, 3, 6, 20), utc(2026, 3, 9, 14, 30)) == 2 * 3600
    assert new_york.trading_days_between(utc(2026, 3, 6, 23), utc(2026, 3, 9, 1)) == 1
