from __future__ import annotations

import argparse
import json
import textwrap
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from ajo.stories import closed_ride, late_parcels, parking_lot
from ajo.stories.product import Broken, Product

FEWEST = 6


class Command(BaseCommand):
    help = (
        "Tell the three stories to a running product with its demo (`make run`): what everybody got, and why. Ends with"
        " an error when something that must hold does not. Brings new people each time."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--story", type=int, choices=[1, 2, 3], help="only this one")
        parser.add_argument(
            "--people", type=_people, default=40, help="how many people each story brings (default: 40)"
        )

    def handle(self, *args: Any, story: int | None, people: int, **options: Any) -> None:
        demo = _demo()
        product = Product(url=demo["url"], write_key=demo["write_key"], api_key=demo["api_key"])
        telling = uuid4().hex[:6]
        for number, each in enumerate((late_parcels, parking_lot, closed_ride), start=1):
            if story in (None, number):
                self.stdout.write(self.style.MIGRATE_HEADING(f"{number}. {each.TITLE}"))
                try:
                    self._tell(number, product, people, telling, demo)
                except Broken as broken:
                    raise CommandError(f"Story {number} does not hold. {broken}") from broken
                self.stdout.write("")
        self.stdout.write(self.style.SUCCESS("Everything that must hold holds."))

    def _tell(self, number: int, product: Product, people: int, telling: str, demo: dict[str, str]) -> None:
        def say(line: str) -> None:
            self.stdout.write(textwrap.indent(line, "   "))

        match number:
            case 1:
                late_parcels.tell(product, people, telling, say)
            case 2:
                parking_lot.tell(product, people, telling, say)
            case _:
                closed_ride.tell(
                    product,
                    people,
                    telling,
                    say,
                    login=demo["operations_login"],
                    password=demo["operations_password"],
                )


def _people(text: str) -> int:
    if not text.isdecimal() or int(text) < FEWEST:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a whole number from {FEWEST} on: so many parts there are."
        )
    return int(text)


def _demo() -> dict[str, str]:
    path = settings.AJO_HOME / "demo.json"
    try:
        demo: dict[str, str] = json.loads(path.read_text())
    except (OSError, ValueError):
        raise CommandError(f"{path} is missing or unreadable. Start the product with `make run`.") from None
    if "operations_login" not in demo:
        raise CommandError(
            f"{path} is of an older demo, which had no stories. Begin anew: stop the product and run `make reset`."
        )
    return demo
