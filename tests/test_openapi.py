"""The description of the API tells the truth about the calls that no DRF view answers."""

from __future__ import annotations

from typing import Any

import pytest
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema

from profiles.ingest.requests import PATHS


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return SchemaGenerator().get_schema(request=None, public=True)


def test_the_schema_is_valid_openapi(schema: dict[str, Any]) -> None:
    validate_schema(schema)


def test_every_described_ingest_call_exists_and_each_call_of_the_spec_is_described(
    schema: dict[str, Any],
) -> None:
    described = {path for path in schema["paths"] if path.startswith("/v1/")}
    assert described <= PATHS.keys()
    assert described == {path for path in PATHS if path.startswith("/v1/") and len(path) > len("/v1/x")}


def test_the_described_answers_are_those_of_the_door(schema: dict[str, Any]) -> None:
    responses = schema["paths"]["/v1/batch"]["post"]["responses"]
    assert {"200", "400", "401", "413", "415", "429", "503"} == responses.keys()
