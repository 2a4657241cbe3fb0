from __future__ import annotations

from ajo.lib import sql


def record_heartbeat(part: str) -> None:
    """Note on the database's clock that `part` works."""
    with sql.cursor() as cur:
        cur.execute(
            "INSERT INTO core_heartbeat (part, beat_at) VALUES (%s, clock_timestamp())"
            " ON CONFLICT (part) DO UPDATE SET beat_at = excluded.beat_at",
            [part],
        )
