from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest

from ajo.lib import arrays, sql

AT = datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("build", "type_name", "values"),
    [
        (arrays.int2, "smallint", [1, -32_768, 32_767]),
        (arrays.int4, "int", [0, 2**31 - 1]),
        (arrays.int8, "bigint", [0, -(2**63), 2**63 - 1]),
        (arrays.uuid, "uuid", [UUID(int=0), UUID(int=2**128 - 1)]),
        (arrays.timestamptz, "timestamptz", [AT, datetime(2100, 1, 1, tzinfo=timezone(timedelta(hours=-3)))]),
        (arrays.hash16, "bytea", [b"\0" * 16, bytes(range(16))]),
        (arrays.text, "text", [None, "", "Grüße 😀", "x" * 100_000]),
        (arrays.text, "text", [None]),
        (arrays.int8, "bigint", []),
        (arrays.text, "text", []),
    ],
)
def test_postgresql_reads_what_was_written(build: Any, type_name: str, values: list[Any]) -> None:
    with sql.cursor() as cur:
        cur.execute(f"SELECT unnest(%b::{type_name}[]) AS value", [build(values)])
        assert [row.value for row in cur] == values
