"""Whatever comes in, the API answers as its description says, and never with a server error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, settings
from schemathesis.config import SchemathesisConfig
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from ajo.wsgi import django_application
from channels.models import Message
from tests.api.support import make_key, with_secret
from tests.api.test_journeys import make_journey
from tests.api.test_people import make_message
from tests.campaigns.helpers import make_campaign
from tests.factories import make_profile, make_variant
from tests.profiles.audiences.world import make_audience
from tests.profiles.ingest.client import WRITE_KEY, Kept, make_door

pytestmark = [pytest.mark.fuzz, pytest.mark.django_db]

CONFIG = SchemathesisConfig.from_dict(
    {
        "generation": {"max-examples": 15, "deterministic": True, "database": "none"},
        "phases": {"stateful": {"enabled": False}},
        # A text that is too long may make the whole body too large, which is said before it is read.
        "checks": {
            "negative_data_rejection": {
                "expected-statuses": [400, 401, 403, 404, 405, 406, 409, 413, 415, 422, 428, 429]
            }
        },
    }
)


def _schema(app: Any) -> Any:
    described = SchemaGenerator().get_schema(request=None, public=True)
    schema = schemathesis.openapi.from_dict(described, config=CONFIG)
    schema.app = app
    return schema


api_schema = (
    _schema(django_application)
    .include(path_regex="^/api/")
    .exclude(path="/api/v1/status/")  # a server error is what it is for
)
# Behind the door stands a list instead of the database: it commits on connections of its own.
ingest_schema = _schema(make_door(Kept())).include(path_regex="^/v1/")
relaxed = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture
def secret(db: None) -> Iterator[str]:
    """The key of a caller who may do everything, in a house where something is to be found."""
    _, secret = make_key()
    make_journey(with_secret(secret), is_live=True)
    make_message(make_profile("ada"), make_variant())
    make_campaign(None, key="welcome", kind="triggered", next_run_at=None)
    make_audience("welcome", "has(profile.email)")
    # Django's own test client does the same: a request must not close the connection of the test's transaction.
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield secret
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@api_schema.parametrize()
@relaxed
def test_every_call_keeps_its_description(case: Any, secret: str) -> None:
    _find_something(case)
    case.call_and_validate(
        headers={"Authorization": f"Api-Key {secret}"},
        # What an address, a cursor or a free key is, a schema cannot say.
        excluded_checks=[positive_data_acceptance],
    )


def _find_something(case: Any) -> None:
    """Let half of the paths that could exist lead to a row: by chance none ever would."""
    if case.meta is None or case.meta.is_negative_at(ParameterLocation.PATH):
        return
    found = {"key": "welcome", "number": 1, "id": Message.objects.values_list("pk", flat=True)[0]}
    for name, value in case.path_parameters.items():
        if name in found and len(str(value)) % 2:
            case.path_parameters[name] = found[name]


@ingest_schema.parametrize()
@relaxed
def test_every_ingest_call_keeps_its_description(case: Any) -> None:
    case.call_and_validate(
        headers={"Authorization": f"Bearer {WRITE_KEY}"},
        # The door takes more than it describes, since clients differ, and a batch answers for each event.
        excluded_checks=[positive_data_acceptance, negative_data_rejection],
    )
