"""What a database holds at some moment, and the way back to it: how tests that commit are kept apart.

Django's own way empties every table there is, then makes all content types, permissions and roles anew, which costs
more than most tests. This one touches the tables that were written to, and knows what they held.
"""

from __future__ import annotations

from django.db import connection, transaction

# By their size: a table without rows that had some still has pages, and whoever reads by pages would meet them.
_WRITTEN = """
SELECT relname FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND pg_relation_size(oid) > 0
    AND relname <> 'django_migrations'"""


class Snapshot:
    """The rows of this moment, copied into the schema `name`."""

    def __init__(self, name: str) -> None:
        self._name = name
        with connection.cursor() as cur:
            cur.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")  # of an earlier session, with --reuse-db
            cur.execute(f"CREATE SCHEMA {name}")
            self._tables = sorted(_written())
            for table in self._tables:
                cur.execute(f"CREATE TABLE {name}.{table} AS TABLE public.{table}")
        self._digests = self._digest()

    def restore(self) -> None:
        """Make the database hold what it held then. Sequences go on."""
        emptied = sorted(_written().difference(self._tables))
        digests = self._digest()
        changed = [table for table in self._tables if digests[table] != self._digests[table]]
        with connection.cursor() as cur:
            if emptied or changed:
                with transaction.atomic():
                    # No trigger counts what is deleted, no foreign key asks for an order.
                    cur.execute("SET LOCAL session_replication_role = replica")
                    cur.execute("; ".join(f"DELETE FROM public.{table}" for table in (*emptied, *changed)))
                    for table in changed:
                        cur.execute(f"INSERT INTO public.{table} SELECT * FROM {self._name}.{table}")
            if emptied:
                # Gives the pages back, and takes a fiftieth of the time of TRUNCATE, which makes every file anew.
                cur.execute(f"VACUUM (TRUNCATE, SKIP_LOCKED) {', '.join(emptied)}")

    def _digest(self) -> dict[str, str]:
        each = " UNION ALL ".join(
            f"SELECT '{table}', md5(string_agg(t::text, '' ORDER BY t::text)) FROM public.{table} t"
            for table in self._tables
        )
        with connection.cursor() as cur:
            cur.execute(each)
            return dict(cur.fetchall())


def _written() -> set[str]:
    with connection.cursor() as cur:
        cur.execute(_WRITTEN)
        return {name for (name,) in cur.fetchall()}
