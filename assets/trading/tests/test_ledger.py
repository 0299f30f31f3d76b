"""Double entry: what is posted balances exactly, and the database lets nobody change it (F53, F54, F55, F60)."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from decimal import Context
from decimal import Decimal as D

import pytest
from django.db import DatabaseError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets.trading import invariants
from assets.trading.models import Account, Fill, Intent, Journal, JournalLine, LedgerAccount, OrderEvent
from assets.trading.selectors import cash_balances
from assets.trading.services import ledger
from assets.trading.services.ledger import Line, Trade
from assets.trading.tests import kit
from tradingsite.foundation.errors import Conflict, Invalid, InvalidNumber

pytestmark = pytest.mark.django_db
AT = datetime(2024, 5, 14, 12, tzinfo=UTC)
WIDE = Context(prec=200)

amounts = st.decimals(
    min_value="-999999999999999999999999999999.999999999999999999",
    max_value="999999999999999999999999999999.999999999999999999",
    places=18, allow_nan=False,
)  # fmt: skip
sizes = st.decimals(min_value="1e-9", max_value="1e15", places=9, allow_nan=False)
prices = st.decimals(min_value="1e-12", max_value="1e12", places=12, allow_nan=False)


def trade(side: str = "buy", **values: object) -> Trade:
    defaults = {
        "side": side, "base": "EUR", "quote": "USD", "quantity": D(1000), "price": D("1.1"), "fee": D("0.5"),
        "fee_asset": "USD",
    }  # fmt: skip
    return Trade(**{**defaults, **values})  # type: ignore[arg-type]


def test_a_purchase_of_euros_is_posted_leg_by_leg() -> None:
    assert ledger.trade_lines(trade()) == [
        Line("cash", "EUR", D(1000)), Line("exchange", "EUR", D(-1000)), Line("cash", "USD", D(-1100)),
        Line("exchange", "USD", D(1100)), Line("rounding", "USD", D(0)), Line("cash", "USD", D("-0.5")),
        Line("fees", "USD", D("0.5")),
    ]  # fmt: skip


def test_a_fee_in_a_third_asset_gets_its_own_leg() -> None:
    lines = ledger.trade_lines(trade(fee=D("0.01"), fee_asset="BNB"))
    assert Line("cash", "BNB", D("-0.01")) in lines and Line("foreign_fees", "BNB", D("0.01")) in lines
    assert ledger.imbalance(lines) == {}


def test_the_opening_journal_is_posted_once() -> None:
    account = kit.account("USD", "1000")
    from assets.trading.services import accounts

    accounts.open_with(account, D(1000), AT)
    assert cash_balances(account.pk) == {"USD": D(1000)}
    assert Journal.objects.filter(account=account).count() == 1


def test_a_journal_that_does_not_balance_is_refused_before_the_database_sees_it() -> None:
    account = kit.account()
    with pytest.raises(Invalid, match="does not sum to 0: 1 USD"):
        ledger.post(account=account, kind="transfer", key="x", at=AT, lines=[Line("cash", "USD", D(1))])


def test_a_key_is_posted_once() -> None:
    account = kit.account("USD")
    lines = ledger.opening_lines("USD", D(5))
    ledger.post(account=account, kind="transfer", key="x", at=AT, lines=lines)
    with pytest.raises(Conflict), transaction.atomic():
        ledger.post(account=account, kind="transfer", key="x", at=AT, lines=lines)
    assert cash_balances(account.pk) == {"USD": D(10005)}


@given(
    trades=st.lists(
        st.tuples(st.sampled_from(["buy", "sell"]), sizes, prices, sizes), min_size=1, max_size=20
    )
)
@settings(max_examples=200, deadline=None)
def test_every_trade_sums_to_zero_per_asset_whatever_its_digits(trades: list[tuple[str, D, D, D]]) -> None:
    for side, quantity, price, fee in trades:
        lines = ledger.trade_lines(trade(side, quantity=quantity, price=price, fee=fee))
        assert ledger.imbalance(lines) == {}
        cash = next(line.amount for line in lines if line.kind == "cash" and line.asset == "USD")
        exact = WIDE.multiply(quantity, price)
        # The trader never gains by rounding, and loses less than one unit.
        loss = WIDE.subtract(-cash, exact) if side == "buy" else WIDE.subtract(exact, cash)
        assert 0 <= loss < D("1e-8")
        assert abs(next(line.amount for line in lines if line.kind == "rounding")) <= D("1e-8")


@given(values=st.lists(amounts, min_size=1, max_size=6))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_thirty_integer_and_eighteen_fraction_digits_survive_and_sum_to_zero(values: list[D]) -> None:
    with transaction.atomic():
        account = kit.account("USD", "1")
        total = D(0)
        lines = []
        for value in values:
            lines.append(Line("cash", "USD", value))
            total = WIDE.add(total, value)
        if len(str(abs(total).to_integral_value())) > 30:
            lines += [Line("equity", "USD", -value) for value in values]
        else:
            lines.append(Line("equity", "USD", -total))
        if any(line.amount for line in lines):
            ledger.post(account=account, kind="transfer", key="h", at=AT, lines=lines)
            assert cash_balances(account.pk)["USD"] == WIDE.add(total, D(1))
            stored = sorted(JournalLine.objects.filter(journal__key="h").values_list("amount", flat=True))
            assert stored == sorted(line.amount for line in lines if line.amount)
        assert invariants.journals_balance(AT) == []
        transaction.set_rollback(True)


def test_a_float_never_enters_a_line() -> None:
    account = kit.account()
    chart = LedgerAccount.objects.first()
    journal = Journal.objects.create(account=account, kind="x", key="f", at=AT)
    with pytest.raises(InvalidNumber):
        JournalLine.objects.create(journal=journal, ledger_account=chart, amount=0.1)


def open_journal(amounts_: dict[str, str]) -> Journal:
    account = Account.objects.first() or kit.account("USD")
    journal = Journal.objects.create(account=account, kind="x", key="open", at=AT)
    for kind, amount in amounts_.items():
        chart, _made = LedgerAccount.objects.get_or_create(account=account, kind=kind, asset="USD")
        JournalLine.objects.create(journal=journal, ledger_account=chart, amount=D(amount))
    return journal


def refuses(sql: str, *params: object) -> None:
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, params)


def test_the_database_posts_a_journal_that_balances_to_the_last_digit() -> None:
    journal = open_journal({"cash": "123456789012345678901234567890.000000000000000001",
                            "equity": "-123456789012345678901234567890.000000000000000001"})  # fmt: skip
    assert Journal.objects.filter(pk=journal.pk).update(posted=True) == 1


def test_the_database_refuses_a_journal_that_is_off_by_the_last_digit() -> None:
    journal = open_journal({"cash": "123456789012345678901234567890.000000000000000001",
                            "equity": "-123456789012345678901234567890.000000000000000002"})  # fmt: skip
    refuses("UPDATE trading_journal SET posted = %s WHERE id = %s", True, journal.pk)


def test_the_database_refuses_an_empty_journal_and_one_born_posted() -> None:
    journal = open_journal({})
    refuses("UPDATE trading_journal SET posted = %s WHERE id = %s", True, journal.pk)
    refuses(
        "INSERT INTO trading_journal (account_id, kind, key, at, posted) VALUES (%s, 'x', 'y', %s, %s)",
        journal.account_id, AT, True,
    )  # fmt: skip


def test_posted_lines_and_journals_are_never_changed() -> None:
    kit.account("USD")
    line = JournalLine.objects.first()
    assert line is not None
    refuses("UPDATE trading_journalline SET amount = '1' WHERE id = %s" if connection.vendor == "sqlite"
            else "UPDATE trading_journalline SET amount = 1 WHERE id = %s", line.pk)  # fmt: skip
    refuses("DELETE FROM trading_journalline WHERE id = %s", line.pk)
    refuses("UPDATE trading_journal SET posted = %s WHERE id = %s", False, line.journal_id)
    refuses("UPDATE trading_journal SET key = 'z' WHERE id = %s", line.journal_id)
    refuses("DELETE FROM trading_journal WHERE id = %s", line.journal_id)
    refuses("UPDATE trading_ledgeraccount SET asset = 'EUR' WHERE id = %s", line.ledger_account_id)
    with pytest.raises(DatabaseError), transaction.atomic():
        JournalLine.objects.create(
            journal_id=line.journal_id, ledger_account=line.ledger_account, amount=D(1)
        )


def test_a_line_of_an_open_journal_cannot_move_into_a_posted_one() -> None:
    kit.account("USD")
    posted = Journal.objects.get(posted=True)
    journal = open_journal({"cash": "1", "equity": "-1"})
    refuses("UPDATE trading_journalline SET journal_id = %s WHERE journal_id = %s", posted.pk, journal.pk)


def test_a_line_on_another_accounts_chart_is_refused_at_posting() -> None:
    kit.account("USD")
    other = kit.account("USD", name="zzz", asset_type="toy2")
    journal = open_journal({"cash": "1"})
    foreign = LedgerAccount.objects.get(account=other, kind="equity", asset="USD")
    JournalLine.objects.create(journal=journal, ledger_account=foreign, amount=D(-1))
    refuses("UPDATE trading_journal SET posted = %s WHERE id = %s", True, journal.pk)


def test_intents_fills_and_order_events_are_never_changed(at: datetime) -> None:
    from assets.trading.services import fills

    account, instrument = kit.account(), kit.instrument()
    order = kit.order(account, instrument, now=at, status="accepted")
    fill = fills.book(order, "t", D(1), D(100), D("0.1"), "BBB", at)
    event = OrderEvent.objects.get()
    refuses("UPDATE trading_fill SET quantity = quantity WHERE id = %s", fill.pk)
    refuses("DELETE FROM trading_fill WHERE id = %s", fill.pk)
    refuses("UPDATE trading_intent SET key = 'z' WHERE id = %s", order.intent_id)
    refuses("DELETE FROM trading_intent WHERE id = %s", order.intent_id)
    refuses("DELETE FROM trading_orderevent WHERE id = %s", event.pk)
    refuses("UPDATE trading_orderevent SET event = 'z' WHERE id = %s", event.pk)
    assert Fill.objects.count() == 1


def test_purging_a_run_may_unlink_it_from_its_intents(at: datetime) -> None:
    account, instrument = kit.account(), kit.instrument()
    order = kit.order(account, instrument, now=at)
    run = kit.run(at)
    with pytest.raises(DatabaseError), transaction.atomic():
        Intent.objects.filter(pk=order.intent_id).update(run=run)
    assert Intent.objects.filter(pk=order.intent_id).update(run=None) == 1


def test_a_connection_without_our_functions_cannot_post() -> None:
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL sums NUMERIC itself")
    raw = sqlite3.connect(":memory:")
    with connection.cursor() as cursor:
        cursor.execute("SELECT sql FROM sqlite_master WHERE name IN "
                       "('trading_journal', 'trading_journalline', 'trading_ledgeraccount', 'trading_journal_balanced')"
                       " ORDER BY type")  # fmt: skip
        statements = [row[0].replace("COLLATE exact_decimal", "").replace('COLLATE "exact_decimal"', "")
                      for row in cursor.fetchall()]  # fmt: skip
    for statement in statements:
        raw.execute(statement)
    raw.execute(
        "INSERT INTO trading_journal (id, account_id, kind, key, at, posted) VALUES (1, 1, 'x', 'x', '', 0)"
    )
    raw.execute(
        "INSERT INTO trading_ledgeraccount (id, account_id, kind, asset) VALUES (1, 1, 'cash', 'USD')"
    )
    raw.execute(
        "INSERT INTO trading_journalline (journal_id, ledger_account_id, amount) VALUES (1, 1, '5'), (1, 1, '-5')"
    )
    with pytest.raises(sqlite3.OperationalError, match="no such function"):
        raw.execute("UPDATE trading_journal SET posted = 1 WHERE id = 1")
    raw.close()


def test_the_invariant_sees_a_ledger_that_was_broken_behind_the_triggers() -> None:
    from tradingsite.foundation.testkit import paused_triggers

    kit.account("USD")
    assert invariants.journals_balance(AT) == []
    line = JournalLine.objects.first()
    assert line is not None
    # PostgreSQL alters no table with foreign keys still to check.
    connection.check_constraints()
    with paused_triggers(connection):
        JournalLine.objects.filter(pk=line.pk).update(amount=line.amount + D("0.000000000000000001"))
        connection.check_constraints()
    found = invariants.journals_balance(AT)
    assert len(found) == 2 and "0.000000000000000001 USD" in found[0]
