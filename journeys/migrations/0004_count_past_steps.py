from django.db import migrations

# Counting began with 0003; what was logged before is counted once.
SQL = """
INSERT INTO step_count (version_id, activity, outcome, day, n)
SELECT version_id, activity, outcome, (at AT TIME ZONE 'UTC')::date, count(*) FROM step_log GROUP BY 1, 2, 3, 4
"""


class Migration(migrations.Migration):
    dependencies = [("journeys", "0003_step_counts")]
    operations = [migrations.RunSQL(SQL, migrations.RunSQL.noop)]
