"""What the declarations of attributes say, as the catalogue that expressions are checked and compiled with."""

from __future__ import annotations

import functools
from collections.abc import Collection

from ajo.lib import sql
from profiles.language import WALK_DOCUMENTS, Catalog, Field, FieldDefinition, Type, python_zones
from profiles.lookups.columns import types_of
from profiles.models import AttributeDefinition, Lookup

# What the stream step itself fills in, as text, whether it was declared or not.
_KEPT_BY_US = ("email", "phone", "time_zone", "locale")


def read_catalog(documents: Collection[str] = WALK_DOCUMENTS, *, knows_history: bool = False) -> Catalog:
    """What is declared now: two statements, and another the first time in a process. Nothing is kept between calls:
    whoever needs it often in one request reads it once and passes it on. `knows_history` is for rules of audiences."""
    ours = [FieldDefinition(Field("profile", (key,)), Type.TEXT) for key in _KEPT_BY_US]
    declared = [
        FieldDefinition(
            Field("profile", (definition.key,)),
            Type(definition.type),
            definition.label,
            definition.description,
        )
        for definition in AttributeDefinition.objects.all()
    ]
    lookups = {key: types_of(columns) for key, columns in Lookup.objects.values_list("key", "columns")}
    return Catalog([*ours, *declared], _zones(), documents, knows_history=knows_history, lookups=lookups)


@functools.cache
def _zones() -> frozenset[str]:
    """The time zones that Python and the database both know; a running server does not learn new ones."""
    with sql.cursor() as cur:
        cur.execute("SELECT name FROM pg_timezone_names")
        return python_zones() & {row.name for row in cur}


def sensitive_attributes() -> frozenset[str]:
    """Those whose values nobody should find in a log; one statement."""
    found = AttributeDefinition.objects.filter(sensitivity=AttributeDefinition.Sensitivity.SENSITIVE)
    return frozenset(found.values_list("key", flat=True))
