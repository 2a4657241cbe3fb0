"""The fields that rules may name, with their types, labels and help. The functions stand in functions.py."""

from __future__ import annotations

from collections.abc import Iterable
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


class Catalog:
    """What is known about fields. One that is not declared can be named all the same and has the type any."""

    def __init__(self, definitions: Iterable[FieldDefinition] = ()) -> None:
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
