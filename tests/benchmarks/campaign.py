"""An audience of 200,000 minus its exclusions, frozen into recipient rows, against the same rows in one INSERT..SELECT.

The path is what a worker does: pieces of a run with its lock, living profiles, exclusions and checkpoint, each one
transaction. The floor writes the same `message` and `message_due` rows with the same indexes, from nothing but a list
of the recipients, in one statement.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from unittest import mock

from django.conf import settings

from ajo.runtime.process import StartError
from campaigns import runs
from campaigns.models import CampaignRun
from channels.models import (
    CauseKind,
    ChannelConfiguration,
    Content,
    ContentVersion,
    Message,
    MessageClass,
    Variant,
)
from profiles.models import Audience, Channel
from tests.benchmarks import harness

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
MEMBERS = 200_000
EXCLUDED = 20_000
_FLOOR = """
WITH made AS (
    INSERT INTO message (profile_id, cause_kind, cause_id, activity, visit, channel, origin_id,
        configuration_id, variant_id, message_class, context, created_at)
    SELECT profile_id, %(cause)s, %(run)s, '', 1, %(channel)s, %(run)s, %(configuration)s, %(variant)s, %(class)s,
        NULL, %(now)s
    FROM recipients ORDER BY profile_id RETURNING id
)
INSERT INTO message_due (message_id, lane, due_at) SELECT id, %(channel)s, %(now)s FROM made
"""


def run(rounds: int) -> dict[str, Any]:
    campaign = _fill()
    path, floor = [], []
    for _ in range(rounds):
        path.append(_freeze(campaign))
        floor.append(_insert(campaign))
    return harness.result(
        "campaign",
        unit="recipients/s",
        rates=path,
        floors=floor,
        floor_is="INSERT..SELECT of the same rows in one statement",
        piece=settings.AJO_CAMPAIGN_PIECE,
    )


def _fill() -> CampaignRun:
    """People, two audiences and a run that has not begun."""
    audiences = [
        Audience.objects.create(key=key, name=key, kind="list", state="active", evaluated_at=NOW)
        for key in ("members", "excluded", "others")
    ]
    configuration = ChannelConfiguration.objects.create(
        key="bench",
        name="Bench",
        channel=Channel.EMAIL,
        provider="smtp",
        sender_address="hello@brand.example",
    )
    content = Content.objects.create(key="bench", name="Bench")
    version = ContentVersion.objects.create(content=content, number=1, state="published", published_at=NOW)
    with harness.connect() as connection:
        connection.execute(
            "INSERT INTO profile (attributes, attribute_times) SELECT"
            " jsonb_build_object('email', 'person' || n || '@example.com', 'first_name', 'Ada', 'city', 'Hafenstadt'),"
            " '{}' FROM generate_series(1, %s) AS n",
            [MEMBERS],
        )
        for audience, every in zip(audiences, (1, MEMBERS // EXCLUDED, 3), strict=True):
            connection.execute(
                "INSERT INTO audience_membership (audience_id, profile_id, entered_at)"
                " SELECT %s, id, %s FROM profile WHERE id %% %s = 0",
                [audience.pk, NOW, every],
            )
        connection.execute(
            "CREATE TABLE recipients AS SELECT m.profile_id FROM audience_membership m WHERE m.audience_id = %s"
            " AND NOT EXISTS (SELECT FROM audience_membership x"
            "     WHERE x.profile_id = m.profile_id AND x.audience_id = %s)",
            [audiences[0].pk, audiences[1].pk],
        )
        for table in ("profile", "audience_membership", "recipients"):
            connection.execute(f"VACUUM ANALYZE {table}")
    return CampaignRun.objects.create(
        due_at=NOW,
        audience=audiences[0],
        exclusion_ids=[audiences[1].pk],
        configuration=configuration,
        variant=Variant.objects.create(version=version, subject="Hello"),
        message_class=MessageClass.MARKETING,
    )


def _freeze(run: CampaignRun) -> float:
    CampaignRun.objects.filter(pk=run.pk).update(
        state="freezing", frozen_through=0, targeted=0, frozen_at=None
    )
    with harness.connect() as connection:
        harness.clear(connection, "message", "message_due")
    with mock.patch("ajo.lib.doorbell.ring"), harness.timed() as elapsed:
        while runs.freeze_next(NOW):
            pass
    _check()
    return (MEMBERS - EXCLUDED) / elapsed[0]


def _insert(run: CampaignRun) -> float:
    with harness.connect() as connection:
        harness.clear(connection, "message", "message_due")
        parameters = {
            "cause": CauseKind.CAMPAIGN_RUN.value,
            "run": run.pk,
            "channel": Channel.EMAIL.value,
            "configuration": run.configuration_id,
            "variant": run.variant_id,
            "class": run.message_class,
            "now": NOW,
        }
        with harness.timed() as elapsed:
            connection.execute(_FLOOR, parameters)
    _check()
    return (MEMBERS - EXCLUDED) / elapsed[0]


def _check() -> None:
    """A rate of rows that are not there is none."""
    if (found := Message.objects.count()) != MEMBERS - EXCLUDED:
        raise StartError(f"There are {found} recipients instead of {MEMBERS - EXCLUDED}.")
