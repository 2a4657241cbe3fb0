"""What people do to lookups and code pools. Each deed is one transaction with its line in the audit trail."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal, TypeVar

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from ajo.core.models import AuditEvent
from ajo.lib import doorbell
from profiles.audiences.authoring import KEEP
from profiles.lookups import codes, rows, usage
from profiles.lookups.columns import Row, validate_columns
from profiles.models import CodePool, Lookup

Mode = Literal["replace", "merge"]
Thing = TypeVar("Thing", Lookup, CodePool)


class Refused(Exception):
    """It cannot become what was asked. The message is a sentence for people."""


class KeyTaken(Refused):
    """There is one with this key."""


def create_lookup(*, columns: list[dict[str, str]], user: Any = None, **words: str) -> Lookup:
    """`words`: key, name, description, key_label. Raises KeyTaken, or ValidationError when the columns are none."""
    validate_columns(columns)
    return _create(Lookup(columns=columns, **words), user)


def create_pool(*, low_water: int = 100, user: Any = None, **words: str) -> CodePool:
    """`words`: key, name, description. Raises KeyTaken."""
    return _create(CodePool(low_water=low_water, **words), user)


def _create(thing: Thing, user: Any) -> Thing:
    try:
        with transaction.atomic():
            thing.save(force_insert=True)
            AuditEvent.record(f"create_{thing._meta.model_name}", thing, user=user)
    except IntegrityError:
        raise KeyTaken(
            _("The key “%(key)s” is taken already. Choose another key.") % {"key": thing.key}
        ) from None
    return thing


@transaction.atomic
def describe(*, thing: Lookup | CodePool, user: Any = None, **changes: Any) -> None:
    """Other words or a low water."""
    told = {
        name: [getattr(thing, name), value]
        for name, value in changes.items()
        if getattr(thing, name) != value
    }
    if told:
        for name, value in changes.items():
            setattr(thing, name, value)
        thing.save(update_fields=list(told))
        AuditEvent.record(f"change_{thing._meta.model_name}", thing, user=user, changes=told)


@transaction.atomic
def write_columns(*, lookup: Lookup, columns: list[dict[str, str]], now: datetime, user: Any = None) -> None:
    """Raises ValidationError when they are none."""
    before = lookup.columns
    if before != columns:
        rows.write_columns(lookup, columns, now=now)
        AuditEvent.record("change_lookup", lookup, user=user, changes={"columns": [before, columns]})
        doorbell.ring_on_commit(KEEP)


@transaction.atomic
def import_rows(
    *, lookup: Lookup, given: Iterable[Row], mode: Mode, now: datetime, user: Any = None
) -> rows.Imported:
    """Raises rows.ImportRefused when a row is wrong, and whatever `given` raises."""
    done = rows.import_rows(lookup, given, mode=mode, now=now)
    AuditEvent.record("import_lookup", lookup, user=user, mode=mode, **done._asdict())
    doorbell.ring_on_commit(KEEP)
    return done


@transaction.atomic
def remove_rows(*, lookup: Lookup, keys: list[str], now: datetime, user: Any = None) -> int:
    """Returns how many were there."""
    removed = rows.remove_rows(lookup, keys, now=now)
    if removed:
        AuditEvent.record("remove_lookup_rows", lookup, user=user, keys=keys[:100], removed=removed)
        doorbell.ring_on_commit(KEEP)
    return removed


@transaction.atomic
def delete_lookup(*, lookup: Lookup, user: Any = None) -> None:
    """With all its rows. Raises Refused while something reads it."""
    if uses := usage.uses_of([lookup.key]).get(lookup.key):
        raise Refused(
            _("It is used by %(names)s. Take it out there first.")
            % {"names": ", ".join(f"“{use.name}”" for use in uses)}
        )
    AuditEvent.record("delete_lookup", lookup, user=user, name=lookup.name)
    lookup.rows.all().delete()
    lookup.delete()


@transaction.atomic
def import_codes(*, pool: CodePool, given: Iterable[str], user: Any = None) -> codes.Added:
    """Raises codes.UnusableCode."""
    done = codes.import_codes(pool, given)
    AuditEvent.record("import_codes", pool, user=user, **done._asdict())
    return done


@transaction.atomic
def remove_codes(*, pool: CodePool, given: list[str] | None = None, user: Any = None) -> int:
    """Those of the `given` that are free, or all that are; returns how many. Raises codes.UnusableCode."""
    removed = codes.remove_free(pool, given)
    if removed:
        AuditEvent.record("remove_codes", pool, user=user, removed=removed, are_all=given is None)
    return removed
