import django.db.models.deletion
from django.db import migrations, models

# Counted anew: what was kept before did not know the placement.
COUNT = """
INSERT INTO offer_stat (offer_id, placement_id, day, part, decided, shown, clicked, converted)
SELECT offer_id, placement_id, day, 0, sum(decided), sum(shown), sum(clicked), sum(converted)
FROM (
    SELECT o.id AS offer_id, d.placement_id, (d.decided_at AT TIME ZONE 'UTC')::date AS day,
        1 AS decided, 0 AS shown, 0 AS clicked, 0 AS converted
    FROM decision d CROSS JOIN LATERAL unnest(d.offers) AS o(id)
    UNION ALL
    SELECT w.offer_id, d.placement_id, (w.occurred_at AT TIME ZONE 'UTC')::date, 0,
        (w.kind = 1)::int, (w.kind = 2)::int, (w.kind = 3)::int
    FROM decision_outcome w JOIN decision d ON d.id = w.decision_id
) AS happened GROUP BY offer_id, placement_id, day
"""


class Migration(migrations.Migration):
    dependencies = [("offers", "0006_decision_door")]
    operations = [
        migrations.DeleteModel("OfferStat"),
        migrations.CreateModel(
            name="OfferStat",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "offer_id", "placement_id", "day", "part",
                        blank=True, editable=False, primary_key=True, serialize=False,
                    ),
                ),
                ("day", models.DateField()),
                ("part", models.SmallIntegerField()),
                ("decided", models.BigIntegerField(db_default=0)),
                ("shown", models.BigIntegerField(db_default=0)),
                ("clicked", models.BigIntegerField(db_default=0)),
                ("converted", models.BigIntegerField(db_default=0)),
                (
                    "offer",
                    models.ForeignKey(
                        db_constraint=False, db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING, to="offers.offeritem",
                    ),
                ),
                (
                    "placement",
                    models.ForeignKey(
                        db_constraint=False, db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING, to="offers.placement",
                    ),
                ),
            ],
            options={
                "db_table": "offer_stat",
                "default_permissions": (),
                "indexes": [models.Index(fields=["day"], name="offer_stat_day")],
            },
        ),
        migrations.RunSQL(COUNT, migrations.RunSQL.noop),
    ]  # fmt: skip
