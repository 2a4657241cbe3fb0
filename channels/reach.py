"""How many people a send would reach now, and why it would not reach the others: what the fence would say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ajo.lib import sql
from channels.delivery import outbox
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
_REACH = """
WITH member AS (
    SELECT p.id, {address} AS address
    FROM audience_membership m JOIN profile p ON p.id = m.profile_id AND p.merged_into IS NULL
    WHERE m.audience_id = %(audience_id)b AND NOT EXISTS (SELECT FROM audience_membership x
        WHERE x.profile_id = m.profile_id AND x.audience_id = ANY(%(exclusion_ids)b::bigint[]))
)
SELECT CASE WHEN member.address IS NULL THEN %(reason_no_address)b::text
    WHEN s.address IS NOT NULL THEN %(reason_suppressed)b
    WHEN c.state = %(opted_out)b AND %(is_marketing)b THEN %(reason_opted_out)b
    ELSE '' END AS reason, count(*) AS n
FROM member LEFT JOIN consent c ON c.profile_id = member.id AND c.channel = %(channel)b
LEFT JOIN suppression s ON s.channel = %(channel)b AND s.address = member.address
GROUP BY 1 ORDER BY 2 DESC
"""


@dataclass(frozen=True, slots=True)
class Reach:
    """People in an audience and in no exclusion: `total`, of whom `reached` get a message. `withheld`: sentence → how
    many do not, the most first."""

    total: int
    reached: int
    withheld: Mapping[str, int]


def reach(
    *,
    audience_id: int,
    exclusion_ids: Sequence[int] = (),
    channel: int,
    message_class: int,
    provider: str = "",
) -> Reach:
    """The exact numbers at this moment, in one statement. `provider`: the kind whose devices a push goes to."""
    parameters: dict[str, Any] = {
        "audience_id": audience_id,
        "exclusion_ids": list(exclusion_ids),
        "channel": channel,
        "provider": provider,
        "opted_out": Consent.State.OPTED_OUT.value,
        "is_marketing": message_class == MessageClass.MARKETING,
        "reason_no_address": outbox.REASON_NO_ADDRESS,
        "reason_suppressed": outbox.REASON_SUPPRESSED,
        "reason_opted_out": outbox.REASON_OPTED_OUT,
    }
    with sql.cursor() as cur:
        cur.execute(_REACH.format(address=_ADDRESS.get(Channel(channel), "''")), parameters)
        found = {row.reason: row.n for row in cur}
    reached = found.pop("", 0)
    return Reach(reached + sum(found.values()), reached, found)
