import django.db.models.deletion
from django.db import migrations, models

# What was noted for each audience is now noted once for the profile, the earliest of it.
COPY = """
INSERT INTO profile_recheck (profile_id, at) SELECT profile_id, min(at) FROM audience_recheck GROUP BY profile_id
"""


class Migration(migrations.Migration):
    dependencies = [("profiles", "0007_audience_exits")]
    operations = [
        migrations.CreateModel(
            name="ProfileRecheck",
            fields=[
                (
                    "profile",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="profiles.profile",
                    ),
                ),
                ("at", models.DateTimeField()),
            ],
            options={
                "db_table": "profile_recheck",
                "indexes": [models.Index(fields=["at"], name="profile_recheck_due")],
            },
        ),
        migrations.RunSQL(COPY, migrations.RunSQL.noop),
        migrations.DeleteModel(name="AudienceRecheck"),
    ]
