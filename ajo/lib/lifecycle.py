"""Moves between the states of an authored object, as compare-and-set."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from django.db import models


class MoveRefused(Exception):
    """The object was not in a state from which this move is allowed, or somebody else moved it first."""


def move(
    instance: models.Model,
    *,
    to: str,
    moves: Mapping[str, Collection[str]],
    field: str = "state",
    **changes: Any,
) -> None:
    """Set `field` to `to` with `changes` if the row is still in a state that `moves` lets go there.

    `moves` maps a state to those it may go to. Raises MoveRefused and changes nothing otherwise.
    """
    sources = [state for state, targets in moves.items() if to in targets]
    rows = type(instance)._base_manager.filter(pk=instance.pk, **{f"{field}__in": sources})
    if not rows.update(**{field: to}, **changes):
        instance.refresh_from_db(fields=[field])
        raise MoveRefused(
            f"{instance} is {getattr(instance, field)}; only {' or '.join(sources) or 'nothing'} can become {to}."
        )
    for name, value in {field: to, **changes}.items():
        setattr(instance, name, value)
