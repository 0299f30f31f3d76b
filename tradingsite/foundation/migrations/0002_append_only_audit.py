"""The audit log only grows; its head only moves forward."""

from django.db import migrations

from tradingsite.foundation.triggers import append_only, per_vendor

HEAD = "foundation_audithead"

head_moves_forward = per_vendor(
    sqlite=[
        f"CREATE TRIGGER {HEAD}_no_delete BEFORE DELETE ON {HEAD} BEGIN SELECT RAISE(ABORT, '{HEAD} stays'); END",
        f"CREATE TRIGGER {HEAD}_forward BEFORE UPDATE ON {HEAD} WHEN NEW.sequence <> OLD.sequence + 1 OR NEW.id <> OLD.id "
        f"BEGIN SELECT RAISE(ABORT, '{HEAD} only moves forward'); END",
    ],
    postgresql=[
        f"CREATE FUNCTION {HEAD}_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{HEAD} only moves forward' USING ERRCODE = 'integrity_constraint_violation'; END $$",
        f"CREATE TRIGGER {HEAD}_no_delete BEFORE DELETE ON {HEAD} FOR EACH ROW EXECUTE FUNCTION {HEAD}_refuse()",
        f"CREATE TRIGGER {HEAD}_no_truncate BEFORE TRUNCATE ON {HEAD} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {HEAD}_refuse()",
        f"CREATE TRIGGER {HEAD}_forward BEFORE UPDATE ON {HEAD} FOR EACH ROW "
        f"WHEN (NEW.sequence <> OLD.sequence + 1 OR NEW.id <> OLD.id) EXECUTE FUNCTION {HEAD}_refuse()",
    ],
    undo_sqlite=[f"DROP TRIGGER {HEAD}_no_delete", f"DROP TRIGGER {HEAD}_forward"],
    undo_postgresql=[
        f"DROP TRIGGER {HEAD}_no_delete ON {HEAD}",
        f"DROP TRIGGER {HEAD}_no_truncate ON {HEAD}",
        f"DROP TRIGGER {HEAD}_forward ON {HEAD}",
        f"DROP FUNCTION {HEAD}_refuse()",
    ],
)


class Migration(migrations.Migration):
    dependencies = [("foundation", "0001_initial")]
    operations = [append_only("foundation_auditevent"), head_moves_forward]
