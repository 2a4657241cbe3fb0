"""A bug on purpose, imported into the engine's worker by `--include`: how far a run came is committed in a statement of
its own, before the messages are. Whoever stands between the two when the process dies is passed over."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import transaction

from ajo.lib import sql
from ajo.lib.chaos import point
from campaigns import runs
from campaigns.models import CampaignRun
from channels import delivery
from profiles.models import Membership


def _freeze_in_two(now: datetime, limit: int | None = None) -> int:
    run = CampaignRun.objects.filter(state="freezing").order_by("pk").first()
    if run is None:
        return 0
    members = Membership.objects.filter(audience_id=run.audience_id, profile_id__gt=run.frozen_through)
    limit = settings.AJO_CAMPAIGN_PIECE
    picked = list(members.order_by("profile_id").values_list("profile_id", flat=True)[:limit])
    if not picked:
        return CampaignRun.objects.filter(pk=run.pk).update(state="sending", frozen_at=now)
    CampaignRun.objects.filter(pk=run.pk, state="freezing").update(frozen_through=picked[-1])
    point("after_freeze")
    with transaction.atomic(), sql.cursor() as cur:
        delivery.enqueue_members(
            cur,
            runs.crowd(run),
            recipients="recipient AS (SELECT t.id AS profile_id FROM unnest(%(ids)b::bigint[]) AS t(id)"
            " WHERE NOT EXISTS (SELECT FROM audience_membership x"
            "     WHERE x.profile_id = t.id AND x.audience_id = ANY(%(exclusion_ids)b::bigint[])))",
            then="SELECT count(*) FROM made",
            parameters={"ids": picked, "exclusion_ids": run.exclusion_ids},
            now=now,
        )
    return len(picked)


runs.freeze_next = _freeze_in_two
