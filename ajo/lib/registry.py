"""One registry pattern: a kind is one class that says everything about itself. Journey activities and channel
providers are two instances of it; the canvas, the API and the docs read them, so there is no second list of kinds."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class RegistrationError(Exception):
    """A class was refused by a registry."""


class UnknownKind(LookupError):
    """A kind was asked for that nobody registered."""


class Registry(Generic[T]):
    """kind → class, for subclasses of `base` that carry the attributes named in `required`."""

    def __init__(self, name: str, base: type[T], required: tuple[str, ...] = ("kind", "label")) -> None:
        self.name = name
        self._base = base
        self._required = required
        self._classes: dict[str, type[T]] = {}

    def register(self, cls: type[T]) -> type[T]:
        """Class decorator. Refuses a wrong base, a missing attribute and a kind that is taken."""
        if not (isinstance(cls, type) and issubclass(cls, self._base)):
            raise RegistrationError(
                f"{cls!r} is not a subclass of {self._base.__name__}, as every {self.name} must be."
            )
        for attribute in self._required:
            if not getattr(cls, attribute, None):
                raise RegistrationError(
                    f"{cls.__name__} lacks `{attribute}`, which every {self.name} must say."
                )
        kind = cls.kind  # type: ignore[attr-defined]
        taken = self._classes.setdefault(kind, cls)
        if taken is not cls:
            raise RegistrationError(
                f"The {self.name} kind {kind!r} is taken by {taken.__module__}.{taken.__name__}."
            )
        return cls

    def get(self, kind: str) -> type[T]:
        try:
            return self._classes[kind]
        except KeyError:
            known = ", ".join(sorted(self._classes)) or "none"
            raise UnknownKind(
                f"There is no {self.name} of the kind {kind!r}. Known kinds: {known}."
            ) from None

    def __contains__(self, kind: object) -> bool:
        return kind in self._classes

    def __iter__(self) -> Iterator[type[T]]:
        return iter(self._classes.values())

    def choices(self) -> list[tuple[str, str]]:
        """(kind, label), sorted by kind: what a form offers."""
        return [(kind, str(cls.label)) for kind, cls in sorted(self._classes.items())]  # type: ignore[attr-defined]


def import_kinds(package: str) -> None:
    """Import every module of `package`, so that each kind's file registers itself."""
    module = importlib.import_module(package)
    for found in pkgutil.iter_modules(module.__path__, f"{package}."):
        importlib.import_module(found.name)
