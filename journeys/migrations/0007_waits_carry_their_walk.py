from __future__ import annotations

from django.db import migrations, models

FILL = """
UPDATE journey_wait w SET entry_event_id = i.entry_event_id, hops = i.hops
FROM journey_instance i WHERE i.id = w.instance_id
"""


class Migration(migrations.Migration):
    dependencies = [("journeys", "0006_room_for_every_walk")]

    operations = [
        migrations.AddField("journeywait", "entry_event_id", models.UUIDField(null=True)),
        migrations.AddField("journeywait", "hops", models.SmallIntegerField(db_default=0)),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
    ]
