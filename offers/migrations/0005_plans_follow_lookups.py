from django.db import migrations

# An import of rows changes no plan, so of updates only those of what rules name count.
TRIGGER = """
CREATE TRIGGER offers_plan_changed AFTER INSERT OR DELETE OR TRUNCATE OR UPDATE OF key, columns ON lookup
FOR EACH STATEMENT EXECUTE FUNCTION offers_plan_changed();
"""


class Migration(migrations.Migration):
    dependencies = [("offers", "0004_outcomes"), ("profiles", "0005_lookups")]
    operations = [migrations.RunSQL(TRIGGER, "DROP TRIGGER offers_plan_changed ON lookup;")]
