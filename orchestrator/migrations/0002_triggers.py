"""What the database itself refuses: a run that ended never changes its status again."""

from django.db import migrations

_ENDED = "('succeeded', 'failed', 'timed_out', 'abandoned', 'skipped', 'cancelled')"

SQLITE = f"""
CREATE TRIGGER run_terminal_is_final BEFORE UPDATE OF status ON orchestrator_run
WHEN OLD.status IN {_ENDED} AND NEW.status <> OLD.status
BEGIN
    SELECT RAISE(ABORT, 'a run that ended never changes its status again');
END;
"""

POSTGRESQL = f"""
CREATE OR REPLACE FUNCTION orchestrator_run_terminal_is_final() RETURNS trigger AS $$
BEGIN
    IF OLD.status IN {_ENDED} AND NEW.status <> OLD.status THEN
        RAISE EXCEPTION 'a run that ended never changes its status again' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END;
$$ LANGUAGE plpgsql;
CREATE TRIGGER run_terminal_is_final BEFORE UPDATE OF status ON orchestrator_run
FOR EACH ROW EXECUTE FUNCTION orchestrator_run_terminal_is_final();
"""


def install(apps, schema_editor):
    sql = SQLITE if schema_editor.connection.vendor == "sqlite" else POSTGRESQL
    schema_editor.execute(sql)


def remove(apps, schema_editor):
    if schema_editor.connection.vendor == "sqlite":
        schema_editor.execute("DROP TRIGGER IF EXISTS run_terminal_is_final")
    else:
        schema_editor.execute("DROP TRIGGER IF EXISTS run_terminal_is_final ON orchestrator_run")
        schema_editor.execute("DROP FUNCTION IF EXISTS orchestrator_run_terminal_is_final()")


class Migration(migrations.Migration):
    dependencies = [("orchestrator", "0001_initial")]
    operations = [migrations.RunPython(install, remove)]
