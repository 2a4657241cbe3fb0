from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand
from django.db import Error, connection
from django.utils import timezone

from ajo import health
from ajo.runtime.doctor import Finding, examine
from ajo.runtime.process import StartError
from ajo.runtime.product import Options
from profiles.partitions import PARTITIONED, partition_name


class Command(BaseCommand):
    help = "Say what is wrong with this installation and how to cure it. Exit code 1 when something is."
    requires_system_checks = []  # a sick product is what it is for

    def handle(self, *args: Any, **options: Any) -> None:
        has_problem = False
        for finding in self._findings():
            mark = self.style.ERROR("wrong") if finding.is_problem else self.style.SUCCESS("ok   ")
            self.stdout.write(f"{mark}  {finding.subject:<11} {finding.sentences}".rstrip())
            has_problem = has_problem or finding.is_problem
        if has_problem:
            sys.exit(1)

    def _findings(self) -> Iterator[Finding]:
        try:
            chosen = Options.from_environment()
        except StartError as error:
            yield Finding("settings", str(error), True)
        else:
            yield from examine(chosen.home, chosen.host, chosen.port)
        for part in health.check():
            yield Finding(part.name, part.problem or "It works.", not part.is_ok)
            if part.name == "migrations" and part.is_ok:
                yield self._partitions()

    def _partitions(self) -> Finding:
        now = timezone.now()
        wanted = [
            partition_name(table, now + timedelta(days=ahead)) for table in PARTITIONED for ahead in (0, 1)
        ]
        try:
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT name FROM unnest(%s::text[]) AS name WHERE to_regclass(name) IS NULL", [wanted]
                )
                missing = [name for (name,) in cursor]
        except Error as error:
            return Finding("partitions", f"They cannot be read: {error}", True)
        if missing:
            return Finding(
                "partitions",
                f"Events of a day without partition are refused, and these are missing: {', '.join(missing)}."
                " Run `manage.py migrate`, which makes them.",
                True,
            )
        return Finding("partitions", "The event tables have them for today and tomorrow.")
