from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand

from ajo.runtime.process import StartError
from ajo.runtime.product import Options, PortTaken, run_product


class Command(BaseCommand):
    help = "Run the whole product: database, broker, mailbox, web server, workers and beat. Ctrl-C stops it."
    requires_system_checks = []  # they need the database that this command starts
    requires_migrations_checks = False

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            run_product(Options.from_environment(), self._say)
        except StartError as error:
            self.stderr.write(str(error))
            sys.exit(2 if isinstance(error, PortTaken) else 1)

    def _say(self, text: str) -> None:
        try:
            self.stdout.write(text)
            self.stdout.flush()
        except OSError:
            pass  # the terminal was closed; the clean stop must go on
