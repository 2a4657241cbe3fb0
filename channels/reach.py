"""How many people a send would reach now, and why it would not reach the others: what the fence would say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from ajo.lib import sql
from ajo.lib.clocks import zone_names
from channels.contact_policy import QuietHours
from channels.delivery import outbox
from channels.delivery.quiet import brand_zone, hours_of
from channels.models import MessageClass
from profiles.models import Channel, Consent

# The address of `p` as it is suppressed, NULL when there is none: what channels.addresses says, read as SQL. Whether a
# number with a country can exist is asked of phonenumbers by the sender alone.
_EMAIL = "lower(normalize(btrim(p.attributes ->> 'email'), NFC))"
_PHONE = "regexp_replace(p.attributes ->> 'phone', '[[:space:]().-]', '', 'g')"
_NUMBER = rf"CASE WHEN {_PHONE} ~ '^\+[1-9][0-9]{{6,14}}$' THEN {_PHONE} END"
_PLACE = "p.attributes -> 'address'"
_ADDRESS = {
    Channel.EMAIL: rf"""CASE WHEN length({_EMAIL}) <= 255
        AND {_EMAIL} ~ '^[^\s@<>,;"]{{1,64}}@[^\s@<>,;"]+\.[^\s@<>,;"]+$' THEN {_EMAIL} END""",
    Channel.SMS: _NUMBER,
    Channel.WHATSAPP: _NUMBER,
    Channel.PUSH: """(SELECT '' FROM device d WHERE d.profile_id = p.id AND d.is_active
        AND (%(provider)b = '' OR d.provider = %(provider)b) LIMIT 1)""",
    Channel.DIRECT_MAIL: f"""CASE jsonb_typeof({_PLACE}) WHEN 'object' THEN nullif(btrim({_PLACE} ->> 'street'), '')
        WHEN 'string' THEN
            nullif(lower(btrim(regexp_replace(p.attributes ->> 'address', '[[:space:]]+', ' ', 'g'))), '')
        END""",
}
# In quiet hours a message waits until they are over where its person is, and is counted then.
_REACH = f"""
WITH member AS (
    SELECT p.id, {{address}} AS address, {{until}} AS until
    FROM audience_membership m JOIN profile p ON p.id = m.profile_id AND p.merged_into IS NULL
    {{quiet}}
    WHERE m.audience_id = %(audience_id)b AND NOT EXISTS (SELECT FROM audience_membership x
        WHERE x.profile_id = m.profile_id AND x.audience_id = ANY(%(exclusion_ids)b::bigint[]))
)
SELECT CASE {outbox.REFUSED.format(address="member.address", message_class="%(message_class)s::int")}
    WHEN limits.most IS NOT NULL AND limits.most <= (
        SELECT count(*) FROM contact_tally t, unnest(t.times) AS k(at)
        WHERE t.profile_id = member.id AND t.scope = limits.scope
            AND {outbox.COUNTS.format(at="coalesce(member.until, %(now)s::timestamptz)")}) THEN 'capped'
    WHEN member.until IS NOT NULL THEN 'quiet'
    ELSE '' END AS outcome, limits.most, limits.days, count(*) AS n
FROM member LEFT JOIN consent c ON c.profile_id = member.id AND c.channel = %(channel)b
LEFT JOIN suppression s ON s.channel = %(channel)b AND s.address = member.address
{outbox.LIMITS.format(channel="%(channel)b", message_class="%(message_class)s::int")}
GROUP BY 1, 2, 3 ORDER BY n DESC
"""
_QUIET = """LEFT JOIN unnest(%(zones)b::text[], %(ends)b::timestamptz[]) AS z(name, until)
        ON z.name = p.attributes ->> 'time_zone'"""
_UNTIL = "CASE WHEN z.name IS NULL THEN %(elsewhere)b::timestamptz ELSE z.until END"
_REASONS = {
    "no_address": outbox.REASON_NO_ADDRESS,
    "suppressed": outbox.REASON_SUPPRESSED,
    "opted_out": outbox.REASON_OPTED_OUT,
}


@dataclass(frozen=True, slots=True)
class Reach:
    """People in an audience and in no exclusion: `total`, of whom `reached` get a message. `withheld`: sentence → how
    many do not, the most first. Of those who are reached, `held` get it only when their quiet hours are over, which is
    at `quiet_until` by their own clock."""

    total: int
    reached: int
    withheld: Mapping[str, int]
    held: int = 0
    quiet_until: time | None = None


def reach(
    *,
    audience_id: int,
    exclusion_ids: Sequence[int] = (),
    channel: int,
    message_class: int,
    now: datetime,
    provider: str = "",
) -> Reach:
    """The exact numbers if it were sent at `now` with what is known at this moment: two statements at most.

    `provider`: the kind whose devices a push goes to.
    """
    hours = hours_of(channel) if message_class == MessageClass.MARKETING else None
    parameters: dict[str, Any] = {
        "audience_id": audience_id,
        "exclusion_ids": list(exclusion_ids),
        "channel": channel,
        "provider": provider,
        "message_class": message_class,
        "opted_out": Consent.State.OPTED_OUT.value,
        "marketing": MessageClass.MARKETING.value,
        "now": now,
        **(_ends(hours, now) if hours else {}),
    }
    statement = _REACH.format(
        address=_ADDRESS.get(Channel(channel), "''"),
        quiet=_QUIET if hours else "",
        until=_UNTIL if hours else "NULL::timestamptz",
    )
    reached = held = 0
    withheld: dict[str, int] = {}
    with sql.cursor() as cur:
        cur.execute(statement, parameters)
        for row in cur:
            if row.outcome in {"", "quiet"}:
                reached += row.n
                held += row.n if row.outcome == "quiet" else 0
            else:
                reason = _REASONS.get(row.outcome) or outbox.REASON_CAPPED % (row.most, row.days)
                withheld[reason] = withheld.get(reason, 0) + row.n
    total = reached + sum(withheld.values())
    return Reach(total, reached, withheld, held, hours.end if hours and held else None)


def _ends(hours: QuietHours, now: datetime) -> dict[str, Any]:
    """When the quiet hours that `now` lies in are over, in every zone that a person may have."""
    ends = {name: hours.over_at(now, ZoneInfo(name)) for name in sorted(zone_names())}
    return {
        "zones": list(ends),
        "ends": list(ends.values()),
        "elsewhere": hours.over_at(now, brand_zone()),
    }
