"""Direct mail: one CSV file per run in a folder of the operator's, from which a printer fetches it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.conf import settings as django_settings
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from channels import mailing_files
from channels.providers import registry
from channels.providers.base import Outgoing, Provider, ProviderError, Receipt, Verdict
from profiles.models import Channel

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}


class DirectMailSettings(serializers.Serializer[dict[str, Any]]):
    """The form of the files. Where they are is the operator's word."""

    delimiter = serializers.ChoiceField(
        choices=[
            ("comma", _("Comma")),
            ("semicolon", _("Semicolon")),
            ("tab", _("Tab")),
            ("pipe", _("Vertical bar")),
        ],
        required=False,
        default="comma",
    )


@registry.register
class DirectMailProvider(Provider):
    """Each batch is kept whole or not at all. A repeat of a message makes no second line, whenever it comes."""

    kind = "direct_mail"
    label = _("Direct mail file")
    channel = Channel.DIRECT_MAIL
    icon = "local_post_office"
    help = _("Writes one CSV file per run into a folder, from which a printer fetches it.")
    Settings = DirectMailSettings
    timeout = 20.0
    # A week, as long as anybody will try; the files themselves remember for ever.
    idempotency_window = 7 * 24 * 3600.0

    def send(self, batch: Sequence[Outgoing]) -> list[Receipt]:
        receipts = []
        lines: dict[str, list[tuple[Outgoing, mailing_files.Line]]] = defaultdict(list)
        origins = _origins(batch) if batch else {}
        for outgoing in batch:
            columns = _columns(outgoing.body)
            if columns is None:
                detail = "The columns are not a list of names and values."
                receipts.append(Receipt(outgoing.message_id, Verdict.REFUSED, detail=detail))
            else:
                origin = origins.get(outgoing.message_id, "proofs")
                lines[origin].append((outgoing, (outgoing.idempotency_key, columns)))
        folder = folder_of(self.key)
        for nth, (origin, pairs) in enumerate(lines.items()):
            try:
                name = mailing_files.add(folder, origin, [line for _outgoing, line in pairs])
            except OSError as error:
                detail = f"The folder for direct mail cannot be written: {error.strerror}."
                if nth == 0 and not receipts:
                    raise ProviderError(detail, permanent=False) from error
                receipts += [Receipt(o.message_id, Verdict.DEFERRED, detail=detail) for o, _line in pairs]
            else:
                receipts += [
                    Receipt(o.message_id, Verdict.ACCEPTED, f"{origin}/{name}") for o, _line in pairs
                ]
        return receipts


def folder_of(key: str) -> Path:
    """Where the files of a configuration are."""
    return Path(django_settings.AJO_DIRECT_MAIL_FOLDER) / (key or "none")


def _origins(batch: Sequence[Outgoing]) -> dict[int, str]:
    """Which run or version each message belongs to."""
    from channels.models import CauseKind, Message  # models ask this registry for its kinds

    rows = Message.objects.filter(pk__in=[each.message_id for each in batch])
    return {
        id: f"{CauseKind(kind).name.lower()}-{origin_id}"
        for id, kind, origin_id in rows.values_list("id", "cause_kind", "origin_id")
    }


def _columns(body: bytes) -> list[tuple[str, str]] | None:
    try:
        return [(str(name), str(value)) for name, value in json.loads(body)]
    except (ValueError, TypeError):
        return None
