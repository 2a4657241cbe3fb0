"""The numbers of event names, remembered for the life of the process."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from ajo.lib.pool import HotPool, unavailable_when_lost

_LOOKUP_SECONDS: Final = 2.0

READ = "SELECT name, id FROM profiles_eventtype WHERE name = ANY(%s)"
# Sorted, so that two requests with the same new names wait for each other instead of deadlocking.
ADD = """
INSERT INTO profiles_eventtype (name)
SELECT name FROM unnest(%s::text[]) AS name
ORDER BY name
LIMIT greatest(0, %s - (SELECT count(*) FROM profiles_eventtype))
ON CONFLICT DO NOTHING
"""


class EventTypes:
    """Name → id. A new name gets a row at once, in a transaction of its own, until there are `limit` names.

    Write keys are public: without the limit anybody could fill the table, and the memory, with names.
    """

    def __init__(self, pool: HotPool, limit: int) -> None:
        self._pool = pool
        self.limit = limit
        self._ids: dict[str, int] = {}

    def ids(self, names: Collection[str]) -> dict[str, int]:
        """The ids of `names`, without those for which there is no more room. Raises `Unavailable`."""
        known = self._ids
        missing = [name for name in names if name not in known]
        if missing:
            self._learn(missing)
        return {name: known[name] for name in names if name in known}

    def forget(self) -> None:
        """Read every name again."""
        self._ids.clear()

    def _learn(self, names: list[str]) -> None:
        with unavailable_when_lost(), self._pool.connection(_LOOKUP_SECONDS) as connection:
            self._ids.update(connection.execute(READ, [names]).fetchall())
            if new := [name for name in names if name not in self._ids]:
                connection.execute(ADD, [new, self.limit])
                self._ids.update(connection.execute(READ, [new]).fetchall())
