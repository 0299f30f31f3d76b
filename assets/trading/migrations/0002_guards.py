"""What the database itself refuses: unbalanced journals, and any change of what was posted, filled, intended or logged.

On SQLite the balance is computed by the registered exact aggregate `decimal_sum`; a connection without it cannot post.
"""

from django.db import migrations

from tradingsite.foundation.triggers import append_only, per_vendor

JOURNAL, LINE, CHART, INTENT = (
    "trading_journal",
    "trading_journalline",
    "trading_ledgeraccount",
    "trading_intent",
)

# Everything but run_id, which purging old runs sets to NULL.
INTENT_COLUMNS = (
    "id, account_id, instrument_id, run_epoch, workflow_slug, key, side, quantity, order_type, limit_price, "
    "reference_price, reduces, reasons, sizing, created_at, valid_until"
)

# Table names are constants of this module.
# ruff: noqa: S608
_IS_POSTED = f"(SELECT posted FROM {JOURNAL} WHERE id = {{row}}.journal_id)"


def _abort(message):
    return f"BEGIN SELECT RAISE(ABORT, '{message}'); END"


_LINES = f"FROM {LINE} l JOIN {CHART} c ON c.id = l.ledger_account_id WHERE l.journal_id = NEW.id"

SQLITE = [
    f"CREATE TRIGGER {JOURNAL}_born_open BEFORE INSERT ON {JOURNAL} WHEN NEW.posted "
    + _abort("a journal is posted after its lines are written"),
    f"CREATE TRIGGER {JOURNAL}_balanced BEFORE UPDATE OF posted ON {JOURNAL} WHEN NEW.posted AND NOT OLD.posted BEGIN "
    f"SELECT RAISE(ABORT, 'a journal needs lines') WHERE (SELECT COUNT(*) {_LINES}) < 2; "
    f"SELECT RAISE(ABORT, 'a line belongs to another account') "
    f"WHERE EXISTS (SELECT 1 {_LINES} AND c.account_id <> NEW.account_id); "
    f"SELECT RAISE(ABORT, 'the journal does not sum to 0') WHERE EXISTS ("
    f"SELECT 1 {_LINES} GROUP BY c.asset HAVING decimal_cmp(decimal_sum(l.amount), '0') IS NOT 0); END",
    f"CREATE TRIGGER {JOURNAL}_final BEFORE UPDATE ON {JOURNAL} WHEN OLD.posted "
    + _abort("a posted journal is final"),
    f"CREATE TRIGGER {JOURNAL}_kept BEFORE DELETE ON {JOURNAL} WHEN OLD.posted "
    + _abort("a posted journal is final"),
    f"CREATE TRIGGER {LINE}_in BEFORE INSERT ON {LINE} WHEN {_IS_POSTED.format(row='NEW')} "
    + _abort("a posted journal takes no more lines"),
    f"CREATE TRIGGER {LINE}_final BEFORE UPDATE ON {LINE} "
    f"WHEN {_IS_POSTED.format(row='OLD')} OR {_IS_POSTED.format(row='NEW')} "
    + _abort("a posted line is final"),
    f"CREATE TRIGGER {LINE}_kept BEFORE DELETE ON {LINE} WHEN {_IS_POSTED.format(row='OLD')} "
    + _abort("a posted line is final"),
    f"CREATE TRIGGER {INTENT}_final BEFORE UPDATE OF {INTENT_COLUMNS} ON {INTENT} "
    + _abort("an intent is final"),
    f"CREATE TRIGGER {INTENT}_run BEFORE UPDATE OF run_id ON {INTENT} WHEN NEW.run_id IS NOT NULL "
    + _abort("an intent is final"),
    f"CREATE TRIGGER {INTENT}_kept BEFORE DELETE ON {INTENT} " + _abort("an intent is final"),
]

_RAISE = "RAISE EXCEPTION '{}' USING ERRCODE = 'integrity_constraint_violation';"

POSTGRESQL = [
    f"""CREATE FUNCTION {JOURNAL}_guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.posted THEN {_RAISE.format("a journal is posted after its lines are written")} END IF;
        RETURN NEW;
    END IF;
    IF OLD.posted THEN {_RAISE.format("a posted journal is final")} END IF;
    IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
    IF NEW.posted THEN
        IF (SELECT COUNT(*) {_LINES}) < 2 THEN {_RAISE.format("a journal needs lines")} END IF;
        IF EXISTS (SELECT 1 {_LINES} AND c.account_id <> NEW.account_id) THEN
            {_RAISE.format("a line belongs to another account")}
        END IF;
        IF EXISTS (SELECT 1 {_LINES} GROUP BY c.asset HAVING SUM(l.amount) IS DISTINCT FROM 0) THEN
            {_RAISE.format("the journal does not sum to 0")}
        END IF;
    END IF;
    RETURN NEW;
END $$""",
    f"""CREATE FUNCTION {LINE}_guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    -- FOR SHARE waits for a posting under way, so that no line slips in behind the sum.
    IF TG_OP <> 'INSERT' THEN
        PERFORM 1 FROM {JOURNAL} WHERE id = OLD.journal_id AND posted FOR SHARE;
        IF FOUND THEN {_RAISE.format("a posted line is final")} END IF;
    END IF;
    IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
    PERFORM 1 FROM {JOURNAL} WHERE id = NEW.journal_id FOR SHARE;
    PERFORM 1 FROM {JOURNAL} WHERE id = NEW.journal_id AND posted;
    IF FOUND THEN {_RAISE.format("a posted journal takes no more lines")} END IF;
    RETURN NEW;
END $$""",
    f"""CREATE FUNCTION {INTENT}_guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF TG_OP = 'UPDATE' AND NEW.run_id IS NULL AND to_jsonb(NEW) - 'run_id' = to_jsonb(OLD) - 'run_id' THEN
        RETURN NEW;
    END IF;
    {_RAISE.format("an intent is final")}
END $$""",
    *(
        f"CREATE TRIGGER {table}_guard BEFORE {verbs} ON {table} FOR EACH ROW EXECUTE FUNCTION {table}_guard()"
        for table, verbs in (
            (JOURNAL, "INSERT OR UPDATE OR DELETE"),
            (LINE, "INSERT OR UPDATE OR DELETE"),
            (INTENT, "UPDATE OR DELETE"),
        )
    ),
    f"CREATE FUNCTION {JOURNAL}_keep() RETURNS trigger LANGUAGE plpgsql AS "
    f"$$ BEGIN {_RAISE.format('the ledger is never emptied')} END $$",
    *(
        f"CREATE TRIGGER {table}_keep BEFORE TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION {JOURNAL}_keep()"
        for table in (JOURNAL, LINE, INTENT)
    ),
]

UNDO_SQLITE = [f"DROP TRIGGER {statement.split()[2]}" for statement in SQLITE]
UNDO_POSTGRESQL = [
    *(f"DROP TRIGGER {table}_keep ON {table}" for table in (JOURNAL, LINE, INTENT)),
    *(f"DROP TRIGGER {table}_guard ON {table}" for table in (JOURNAL, LINE, INTENT)),
    *(f"DROP FUNCTION {table}_guard()" for table in (JOURNAL, LINE, INTENT)),
    f"DROP FUNCTION {JOURNAL}_keep()",
]


class Migration(migrations.Migration):
    dependencies = [("trading", "0001_initial")]
    operations = [
        append_only(CHART),
        append_only("trading_fill"),
        append_only("trading_orderevent"),
        per_vendor(
            sqlite=SQLITE, postgresql=POSTGRESQL, undo_sqlite=UNDO_SQLITE, undo_postgresql=UNDO_POSTGRESQL
        ),
    ]
