from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils import timezone

from ajo.core.models import ApiKey, AuditEvent
from ajo.core.scopes import SCOPES, unknown


class Command(BaseCommand):
    help = "Make a key for the REST API and print it, once. Scopes: " + ", ".join(SCOPES)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="what it is for, up to 50 characters")
        parser.add_argument("scopes", nargs="+", metavar="scope", help="what it may do, or: all")
        parser.add_argument("--days", type=int, help="days until it expires; it never does without")

    @transaction.atomic
    def handle(self, *args: Any, name: str, scopes: list[str], days: int | None, **options: Any) -> None:
        chosen = list(SCOPES) if scopes == ["all"] else scopes
        if strangers := unknown(chosen):
            raise CommandError(f"There is no scope {strangers[0]}. Choose of: all, {', '.join(SCOPES)}.")
        if not 1 <= len(name) <= 50:
            raise CommandError("The name of a key has 1 to 50 characters.")
        if days is not None and not 1 <= days <= 3650:
            raise CommandError("A key lasts 1 to 3650 days. Leave --days out for one that does not expire.")
        expiry_date = timezone.now() + timedelta(days=days) if days else None
        key, secret = ApiKey.objects.create_key(name=name, scopes=chosen, expiry_date=expiry_date)
        AuditEvent.record("create_api_key", key, name=name, scopes=chosen)
        self.stdout.write(secret)
