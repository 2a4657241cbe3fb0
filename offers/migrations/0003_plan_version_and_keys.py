from django.db import migrations, models

TABLES = (
    "offers_offeritem",
    "offers_placement",
    "offers_representation",
    "offers_collection",
    "offers_collection_offers",
    "offers_cappingrule",
    "offers_selectionstrategy",
    "offers_decisionpolicy",
    "offers_policystrategy",
    "profiles_attributedefinition",
)
FUNCTION = """
CREATE FUNCTION offers_plan_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO plan_version (id, version) VALUES (1, gen_random_uuid())
    ON CONFLICT (id) DO UPDATE SET version = excluded.version;
    RETURN NULL;
END $$;
INSERT INTO plan_version (id, version) VALUES (1, gen_random_uuid());
"""
TRIGGERS = "".join(
    f"CREATE TRIGGER offers_plan_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table}"
    " FOR EACH STATEMENT EXECUTE FUNCTION offers_plan_changed();\n"
    for table in TABLES
)
UNDO = "".join(f"DROP TRIGGER offers_plan_changed ON {table};\n" for table in TABLES)


class Migration(migrations.Migration):
    dependencies = [("offers", "0002_storage"), ("profiles", "0004_audiences")]
    operations = [
        migrations.CreateModel(
            name="PlanVersion",
            fields=[
                ("id", models.SmallIntegerField(primary_key=True, serialize=False)),
                ("version", models.UUIDField()),
            ],
            options={"db_table": "plan_version", "default_permissions": ()},
        ),
        migrations.CreateModel(
            name="DecisionKey",
            fields=[
                ("key", models.UUIDField(primary_key=True, serialize=False)),
                (
                    "decision",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=models.DO_NOTHING,
                        to="offers.decision",
                    ),
                ),
            ],
            options={"db_table": "decision_key", "default_permissions": ()},
        ),
        migrations.RunSQL(
            FUNCTION + TRIGGERS, UNDO + "DROP FUNCTION offers_plan_changed();\nDELETE FROM plan_version;"
        ),
    ]
