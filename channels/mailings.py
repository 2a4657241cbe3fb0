"""When a file of direct mail is complete: nothing of its run waits any more, and no line came for a while."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from ajo.lib import sql
from channels import mailing_files
from channels.models import CauseKind, ChannelConfiguration
from channels.providers.direct_mail import DELIMITERS, DirectMailProvider, folder_of
from profiles.models import Channel

QUIET = timedelta(minutes=1)
"""A run that is still finding its people may have nothing waiting for a moment."""

_OPEN = """
SELECT DISTINCT m.cause_kind, m.origin_id, m.configuration_id
FROM message_due d JOIN message m ON m.id = d.message_id WHERE d.lane = %s
"""


def close_mailings(now: datetime) -> list[Path]:
    """Complete the files that are; returns the new ones."""
    made = []
    for configuration in ChannelConfiguration.objects.filter(provider=DirectMailProvider.kind):
        folder = folder_of(configuration.key)
        # Found before the question what is open, so that a line that comes in between keeps its origin open or waits.
        origins = mailing_files.waiting(folder, before=(now - QUIET).timestamp())
        still_open = _open(configuration.pk) if origins else set()
        delimiter = DELIMITERS[configuration.settings.get("delimiter") or "comma"]
        for origin in origins:
            if origin not in still_open:
                file = mailing_files.close(folder, origin, delimiter=delimiter)
                made += [file] if file else []
    return made


def _open(configuration_id: int) -> set[str]:
    with sql.cursor() as cur:
        cur.execute(_OPEN, [Channel.DIRECT_MAIL.value])
        return {
            f"{CauseKind(row.cause_kind).name.lower()}-{row.origin_id}"
            for row in cur
            if row.configuration_id == configuration_id
        }
