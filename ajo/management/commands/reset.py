from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ajo.runtime import paths
from ajo.runtime.state import Busy, erase


class Command(BaseCommand):
    help = "Delete the embedded database, the mailbox, the secrets and the logs of this checkout."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--no-input", action="store_false", dest="interactive", help="Do not ask.")

    def handle(self, *args: Any, interactive: bool, **options: Any) -> None:
        home = paths.home()
        if not home.exists():
            self.stdout.write(f"There is nothing to delete in {home}.")
            return
        if interactive and not self._agrees(f"Delete all data of the product in {home}? Type yes: "):
            raise CommandError("Nothing was deleted.")
        try:
            erase(home)
        except Busy as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Deleted the data in {home}. `make run` starts anew.")

    def _agrees(self, question: str) -> bool:
        try:
            return input(question).strip().lower() == "yes"
        except EOFError:
            return False
