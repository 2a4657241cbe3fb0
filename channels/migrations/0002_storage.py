from django.db import migrations

# The outbox row is updated three times in its life, its queue row comes and goes.
SQL = """
ALTER TABLE message SET (fillfactor = 60);
ALTER TABLE message_due SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);
"""


class Migration(migrations.Migration):
    dependencies = [("channels", "0001_initial")]
    operations = [migrations.RunSQL(SQL, migrations.RunSQL.noop)]
