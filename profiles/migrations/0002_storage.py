from django.db import migrations

# Room on the page for HOT updates, and vacuum by count where rows come and go all the time.
SQL = """
ALTER TABLE profile SET (fillfactor = 75);
ALTER TABLE profile_daily SET (fillfactor = 80);
ALTER TABLE profiles_ingestbatch SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
"""


class Migration(migrations.Migration):
    dependencies = [("profiles", "0001_initial")]
    operations = [migrations.RunSQL(SQL, migrations.RunSQL.noop)]
