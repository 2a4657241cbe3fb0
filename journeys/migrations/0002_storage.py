from django.db import migrations

SQL = """
ALTER TABLE journey_instance SET (fillfactor = 70);
ALTER TABLE journey_wait SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);
"""


class Migration(migrations.Migration):
    dependencies = [("journeys", "0001_initial")]
    operations = [migrations.RunSQL(SQL, migrations.RunSQL.noop)]
