from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("channels", "0012_goal")]

    operations = [
        migrations.AlterField(
            model_name="sendhold",
            name="scope",
            field=models.SmallIntegerField(
                choices=[
                    (0, "Everything"),
                    (1, "A channel"),
                    (2, "A channel configuration"),
                    (3, "A journey version"),
                    (4, "A campaign run"),
                    (5, "A campaign that calls trigger"),
                ]
            ),
        ),
    ]
