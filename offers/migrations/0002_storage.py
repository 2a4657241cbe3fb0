from django.db import migrations

SQL = """
ALTER TABLE cap_counter SET (fillfactor = 50);
ALTER TABLE model_stat SET (fillfactor = 70);
"""


class Migration(migrations.Migration):
    dependencies = [("offers", "0001_initial")]
    operations = [migrations.RunSQL(SQL, migrations.RunSQL.noop)]
