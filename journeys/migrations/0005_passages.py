from django.db import migrations, models
from django.db.models.deletion import DO_NOTHING

# What was logged before goes on in trails of one step, shared by those who made the same step at the same moment.
SQL = """
CREATE SEQUENCE journey_trail_id OWNED BY journey_trail.trail_id;
CREATE TEMP TABLE said ON COMMIT DROP AS
    SELECT s.*, nextval('journey_trail_id') AS trail_id
    FROM (SELECT DISTINCT version_id, activity, outcome, detail, at FROM step_log) AS s;
INSERT INTO journey_trail (trail_id, nth, version_id, activity, outcome, detail, at)
    SELECT trail_id, 0, version_id, activity, outcome, detail, at FROM said;
INSERT INTO journey_passage (instance_id, visit, trail_id)
    SELECT s.instance_id, s.visit, said.trail_id
    FROM step_log s JOIN said USING (version_id, activity, outcome, detail, at);
DROP TABLE step_log;
CREATE VIEW step_log AS
    SELECT p.instance_id, p.visit + t.nth AS visit, t.version_id, t.activity, t.outcome, t.detail, t.at
    FROM journey_passage p JOIN journey_trail t ON t.trail_id = p.trail_id
"""


class Migration(migrations.Migration):
    dependencies = [("journeys", "0004_count_past_steps")]
    operations = [
        migrations.CreateModel(
            name="JourneyTrail",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "trail_id", "nth", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("trail_id", models.BigIntegerField()),
                ("nth", models.SmallIntegerField()),
                ("activity", models.CharField(max_length=60)),
                ("outcome", models.CharField(max_length=60)),
                ("detail", models.TextField(blank=True)),
                ("at", models.DateTimeField()),
                (
                    "version",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=DO_NOTHING,
                        to="journeys.journeyversion",
                    ),
                ),
            ],
            options={"db_table": "journey_trail"},
        ),
        migrations.CreateModel(
            name="JourneyPassage",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "instance_id", "visit", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("visit", models.IntegerField()),
                ("trail_id", models.BigIntegerField()),
                (
                    "instance",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=DO_NOTHING,
                        to="journeys.journeyinstance",
                    ),
                ),
            ],
            options={"db_table": "journey_passage"},
        ),
        migrations.RunSQL(SQL),
        migrations.AlterModelOptions(name="steplog", options={"managed": False}),
    ]
