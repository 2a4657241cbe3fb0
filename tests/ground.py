"""A fresh database, and the way back to it: what tests that commit leave behind is taken away again.

Django's own way empties every table there is, then makes all content types, permissions and roles anew, which costs
more than most tests. This one empties the tables that were written to, and knows what they held at the start.
"""

from __future__ import annotations

from django.db import connection, transaction

# By their size: a table without rows that had some still has pages, and whoever reads by pages would meet them.
_WRITTEN = """
SELECT relname FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND pg_relation_size(oid) > 0
    AND relname <> 'django_migrations'"""


class Ground:
    """Taken while the database is fresh: after the migrations, before any test."""

    def __init__(self) -> None:
        with connection.cursor() as cur:
            cur.execute("CREATE SCHEMA ground")
            self._kept = sorted(_written())
            for name in self._kept:
                cur.execute(f"CREATE TABLE ground.{name} AS TABLE public.{name}")
        self._digests = self._digests_of_kept()

    def restore(self) -> None:
        """Make the database hold what it held at the start. Sequences go on."""
        emptied = sorted(_written().difference(self._kept))
        digests = self._digests_of_kept()
        changed = [name for name in self._kept if digests[name] != self._digests[name]]
        with connection.cursor() as cur:
            if emptied or changed:
                with transaction.atomic():
                    # No trigger counts what is deleted, no foreign key asks for an order.
                    cur.execute("SET LOCAL session_replication_role = replica")
                    cur.execute("; ".join(f"DELETE FROM public.{name}" for name in (*emptied, *changed)))
                    for name in changed:
                        cur.execute(f"INSERT INTO public.{name} SELECT * FROM ground.{name}")
            if emptied:
                # Gives the pages back, and takes a fiftieth of the time of TRUNCATE, which makes every file anew.
                cur.execute(f"VACUUM (TRUNCATE, SKIP_LOCKED) {', '.join(emptied)}")

    def _digests_of_kept(self) -> dict[str, str]:
        each = " UNION ALL ".join(
            f"SELECT '{name}', md5(string_agg(t::text, '' ORDER BY t::text)) FROM public.{name} t"
            for name in self._kept
        )
        with connection.cursor() as cur:
            cur.execute(each)
            return dict(cur.fetchall())


def _written() -> set[str]:
    with connection.cursor() as cur:
        cur.execute(_WRITTEN)
        return {name for (name,) in cur.fetchall()}
