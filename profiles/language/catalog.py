"""The fields that rules may name, with their types, labels and help. The functions stand in functions.py."""

from __future__ import annotations

import functools
import zoneinfo
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from profiles.language.errors import LanguageError
from profiles.language.nodes import Field
from profiles.language.values import Type

_DECLARABLE = (Type.TEXT, Type.NUMBER, Type.BOOLEAN, Type.TIME, Type.LIST, Type.MONEY, Type.ANY)


@dataclass(frozen=True, slots=True)
class FieldDefinition:
    """A declared field: what it is called and holds."""

    field: Field
    type: Type
    label: str = ""
    help: str = ""


WALK_DOCUMENTS = frozenset({"profile", "event", "entry"})
"""What can be named where a journey walks."""


@functools.cache
def python_zones() -> frozenset[str]:
    """The names of the time zones that Python knows."""
    return frozenset(zoneinfo.available_timezones())


class Catalog:
    """What is known about fields. One that is not declared can be named all the same and has the type any.

    `zones` are the names of time zones that both readings know; any other is missing. Those of Python are used when
    they are left out, of which the database must then know all: it refuses a statement that names another.
    `documents` are the roots that can be named; the fields of any other are missing, and check() says so.
    `knows_history`: past events and audiences can be asked for, because both readings are given them.
    `lookups` has the type of each column by the keys of the lookups; None where nothing can be looked up.
    """

    def __init__(
        self,
        definitions: Iterable[FieldDefinition] = (),
        zones: frozenset[str] | None = None,
        documents: Collection[str] = WALK_DOCUMENTS,
        *,
        knows_history: bool = False,
        lookups: Mapping[str, Mapping[str, Type]] | None = None,
    ) -> None:
        self.lookups = lookups
        self.documents = frozenset(documents)
        self.knows_history = knows_history
        self.zones = python_zones() if zones is None else zones
        self.definitions = {definition.field: definition for definition in definitions}
        for definition in self.definitions.values():
            if definition.type not in _DECLARABLE:
                raise LanguageError(
                    f"A field cannot be declared as {definition.type}.", f"Use {', '.join(_DECLARABLE)}."
                )

    def type_of(self, field: Field) -> Type:
        definition = self.definitions.get(field)
        return definition.type if definition is not None else Type.ANY


EMPTY = Catalog()
