"""PostgreSQL arrays in their binary form, made by joining bytes.

psycopg looks at every list anew to find out what it holds, which costs more than all the rest of a small flush. Here
the column's type is known. Pass an `Array` for a `%b` placeholder.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg.adapt import Dumper, PyFormat
from psycopg.pq import Format

_NULL: Final = b"\xff\xff\xff\xff"
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_int2 = struct.Struct(">h").pack
_int4 = struct.Struct(">i").pack
_int8 = struct.Struct(">q").pack
_header = struct.Struct(
    ">iiIii"
).pack  # dimensions, whether there are nulls, element type, length, first index


class Array:
    """An array's binary form and the number of its type."""

    __slots__ = ("data", "oid")

    def __init__(self, oid: int, data: bytes) -> None:
        self.oid = oid
        self.data = data


class _ArrayDumper(Dumper):
    format = Format.BINARY

    def get_key(self, obj: Array, format: PyFormat) -> Any:
        return (Array, obj.oid)

    def upgrade(self, obj: Array, format: PyFormat) -> Dumper:
        dumper = _ArrayDumper(Array)
        dumper.oid = obj.oid
        return dumper

    def dump(self, obj: Array) -> bytes:
        return obj.data


psycopg.adapters.register_dumper(Array, _ArrayDumper)


def _fixed(type_name: str, size: int, encode: Callable[[Any], bytes]) -> Callable[[Sequence[Any]], Array]:
    """A builder of arrays whose elements all have `size` bytes and are never null."""
    info = psycopg.adapters.types[type_name]
    length = _int4(size)

    def build(values: Sequence[Any]) -> Array:
        elements = b"".join([length + encode(value) for value in values])
        return Array(info.array_oid, _header(1, 0, info.oid, len(values), 1) + elements)

    return build


def _microseconds(at: datetime) -> bytes:
    since = at - _EPOCH
    return _int8((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds)


def _uuid(id: UUID) -> bytes:
    return id.bytes


int2 = _fixed("int2", 2, _int2)
int4 = _fixed("int4", 4, _int4)
int8 = _fixed("int8", 8, _int8)
uuid = _fixed("uuid", 16, _uuid)
timestamptz = _fixed("timestamptz", 8, _microseconds)
hash16 = _fixed("bytea", 16, bytes)
"""Each takes a non-empty sequence of values: whole numbers, UUIDs, aware datetimes, 16 bytes each."""


def text(values: Sequence[str | None]) -> Array:
    """A non-empty array of text, in which there may be nulls."""
    info = psycopg.adapters.types["text"]
    pieces = []
    for value in values:
        if value is None:
            pieces.append(_NULL)
        else:
            encoded = value.encode()
            pieces += (_int4(len(encoded)), encoded)
    return Array(info.array_oid, _header(1, 1, info.oid, len(values), 1) + b"".join(pieces))
