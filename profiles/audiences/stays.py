"""In which audiences a person is, and was."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from psycopg.rows import tuple_row

from ajo.lib import sql

_STAYS = """
SELECT a.id, a.key, a.name, s.entered_at, s.left_at
FROM (
    SELECT audience_id, entered_at, NULL AS left_at FROM audience_membership WHERE profile_id = %(profile_id)s
    UNION ALL
    SELECT audience_id, entered_at, left_at FROM audience_exit WHERE profile_id = %(profile_id)s) AS s
JOIN audience a ON a.id = s.audience_id
ORDER BY coalesce(s.left_at, 'infinity') DESC, s.entered_at DESC, a.id LIMIT %(limit)s
"""


class Stay(NamedTuple):
    """A time in an audience; `left_at` None: still there."""

    audience_id: int
    key: str
    name: str
    entered_at: datetime
    left_at: datetime | None


def memberships_of(profile_id: int, limit: int = 200) -> list[Stay]:
    """Where the profile is, then where it was, the last first; one statement. Archived audiences are among them."""
    with sql.cursor(tuple_row) as cur:
        cur.execute(_STAYS, {"profile_id": profile_id, "limit": limit})
        return [Stay(*row) for row in cur]
