from django.db import migrations

NAMESPACES = [(1, "user_id", "User id"), (2, "anonymous_id", "Anonymous id"), (3, "email", "Email"), (4, "phone", "Phone")]


def add(apps, schema_editor):
    namespace = apps.get_model("profiles", "IdentityNamespace")
    namespace.objects.bulk_create(
        [namespace(id=id, key=key, label=label) for id, key, label in NAMESPACES], ignore_conflicts=True
    )


class Migration(migrations.Migration):
    dependencies = [("profiles", "0002_storage")]
    operations = [migrations.RunPython(add, migrations.RunPython.noop)]
