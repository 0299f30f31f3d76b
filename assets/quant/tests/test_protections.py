"""Each rule locks at its limit and not one step before, and lets go when its time is over."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.quant.protections import ALL, ClosedTrade, Lock, Rules, locks

RULES = Rules(
    cooldown_s=300, stops=3, stops_within_s=3600, stops_lock_s=7200, drawdown=0.10, drawdown_within_s=86_400,
    drawdown_lock_s=43_200, low_trades=2, low_gain=-0.02, low_within_s=7200, low_lock_s=3600,
)  # fmt: skip


def trade(at_s: float, gain: float = 0.01, *, subject: str = "A", by_stop: bool = False) -> ClosedTrade:
    return ClosedTrade(subject=subject, at_s=at_s, gain=gain, by_stop=by_stop)


def only(kind: str) -> Rules:
    names = {
        "cooldown": ("cooldown_s",), "stop_guard": ("stops", "stops_within_s", "stops_lock_s"),
        "max_drawdown": ("drawdown", "drawdown_within_s", "drawdown_lock_s"),
        "low_profit": ("low_trades", "low_gain", "low_within_s", "low_lock_s"),
    }[kind]  # fmt: skip
    return Rules(**{name: getattr(RULES, name) for name in names})


def found(kind: str, *trades: ClosedTrade, now_s: float) -> Lock | None:
    answer = locks(trades, only(kind), now_s)
    assert all(lock.kind == kind for lock in answer)
    return answer[0] if answer else None


def test_without_trades_or_rules_nothing_is_locked() -> None:
    assert locks([], RULES, 100.0) == ()
    assert locks([trade(50.0, -0.5, by_stop=True)], Rules(), 51.0) == ()


def test_an_instrument_rests_after_a_close_and_no_other_does() -> None:
    lock = found("cooldown", trade(1000.0), trade(900.0, subject="B"), now_s=1299.0)
    assert lock is not None and (lock.subject, lock.until_s) == ("A", 1300.0)
    assert found("cooldown", trade(1000.0), now_s=1300.0) is None


@pytest.mark.parametrize(("third", "is_locked"), [(3600.0, True), (3601.0, False)])
def test_three_stops_within_an_hour_lock_everything(third: float, is_locked: bool) -> None:
    hits = [trade(at, -0.01, by_stop=True) for at in (0.0, 100.0, third)]
    lock = found("stop_guard", *hits, now_s=third + 1)
    assert (lock is not None) == is_locked
    if lock is not None:
        assert (lock.subject, lock.until_s) == (ALL, third + 7200)
        assert found("stop_guard", *hits, now_s=lock.until_s) is None


def test_losses_without_a_stop_are_none_of_the_guard_s_business() -> None:
    assert found("stop_guard", *[trade(at, -0.01) for at in (0.0, 1.0, 2.0)], now_s=3.0) is None


@pytest.mark.parametrize(("loss", "is_locked"), [(-0.10, True), (-0.099, False)])
def test_a_fall_from_the_peak_locks_everything(loss: float, is_locked: bool) -> None:
    assert (found("max_drawdown", trade(0.0, 0.05), trade(10.0, loss), now_s=11.0) is not None) == is_locked


def test_a_win_after_the_fall_does_not_prolong_the_lock() -> None:
    lock = found("max_drawdown", trade(0.0, -0.2), trade(1000.0, 0.01), now_s=1001.0)
    assert lock is not None and lock.since_s == 0.0


@pytest.mark.parametrize(("second", "is_locked"), [(-0.011, True), (-0.009, False)])
def test_an_instrument_that_only_loses_is_locked(second: float, is_locked: bool) -> None:
    lock = found("low_profit", trade(0.0, -0.01), trade(60.0, second), now_s=61.0)
    assert (lock is not None) == is_locked
    assert found("low_profit", trade(0.0, -0.5), now_s=61.0) is None  # one trade says nothing


def test_what_a_person_released_no_longer_counts_and_the_next_trade_does() -> None:
    hits = [trade(float(at), -0.01, by_stop=True) for at in range(3)]
    released = {("stop_guard", ALL): 2.0}
    assert locks(hits, only("stop_guard"), 3.0, released) == ()
    again = [*hits, *(trade(10.0 + at, -0.01, by_stop=True) for at in range(3))]
    assert len(locks(again, only("stop_guard"), 20.0, released)) == 1


def test_negative_rules_are_refused() -> None:
    with pytest.raises(ValueError, match="cooldown_s"):
        Rules(cooldown_s=-1.0)


trades_of = st.lists(
    st.builds(
        ClosedTrade, subject=st.sampled_from("AB"), at_s=st.floats(0, 1e5), gain=st.floats(-0.5, 0.5),
        by_stop=st.booleans(),
    ),
    max_size=12,
)  # fmt: skip


@given(trades_of, st.floats(0, 2e5))
def test_the_future_changes_nothing_and_every_lock_ends(trades: list[ClosedTrade], now_s: float) -> None:
    answer = locks(trades, RULES, now_s)
    assert answer == locks([t for t in trades if t.at_s <= now_s], RULES, now_s)
    assert all(lock.since_s <= now_s < lock.until_s <= now_s + RULES.horizon_s for lock in answer)
    assert locks(trades, RULES, 1e5 + RULES.horizon_s) == ()
    assert len({(lock.kind, lock.subject) for lock in answer}) == len(answer)


@given(trades_of, st.floats(0, 2e5), st.randoms())
def test_the_order_in_which_trades_are_told_does_not_matter(
    trades: list[ClosedTrade], now_s: float, random: object
) -> None:
    at_once = {t.at_s for t in trades}
    if len(at_once) < len(trades):
        return  # which of two at the same instant came first nobody knows
    shuffled = sorted(trades, key=lambda t: -t.at_s)
    assert locks(shuffled, RULES, now_s) == locks(trades, RULES, now_s)
