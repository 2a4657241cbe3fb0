from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from ajo.demo import seeding


class Command(BaseCommand):
    help = "Fill an empty installation with the demo brand: people, ninety days of events, a live welcome journey."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--profiles", type=int, default=2_000, help="How many people (default: 2000).")
        parser.add_argument("--seed", type=int, default=1, help="The same seed gives the same people.")
        parser.add_argument(
            "--url", default=settings.AJO_PUBLIC_URL, help="The address to note in demo.json."
        )
        parser.add_argument(
            "--if-empty", action="store_true", help="Do nothing when the demo is already there."
        )
        parser.add_argument(
            "--seed-secrets",
            action="store_true",
            help="For tests: derive password and write keys from the seed.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["profiles"] < 0:
            raise CommandError("--profiles is less than 0. Say how many people there shall be.")
        if seeding.is_seeded():
            if options["if_empty"]:
                self.stdout.write("The demo data is already there.")
                return
            raise CommandError(
                "The demo data is already there and is never written twice."
                " To begin anew stop the product and run `make reset`."
            )
        started_at = timezone.now()
        installation = seeding.seed_demo(
            profiles=options["profiles"],
            seed=options["seed"],
            url=options["url"],
            now=started_at,
            make_secret=seeding.seeded_secrets(options["seed"])
            if options["seed_secrets"]
            else seeding.random_secret,
        )
        seconds = (timezone.now() - started_at).total_seconds()
        self.stdout.write(
            f"The demo has {options['profiles']:,} people, made in {seconds:.1f} s."
            f" Sign in at {installation.url} as {installation.login}; the password is in {seeding.installation_path()}."
        )
