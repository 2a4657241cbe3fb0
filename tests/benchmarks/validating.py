"""The floor of `ingest_single`: the door itself with its keys, names and validation, which then stores nothing."""

from __future__ import annotations

from django.conf import settings
from django.core.wsgi import get_wsgi_application

get_wsgi_application()

from ajo.lib.pool import HotPool  # noqa: E402
from profiles.ingest.event_types import EventTypes  # noqa: E402
from profiles.ingest.sources import Sources  # noqa: E402
from profiles.ingest.wsgi import Door  # noqa: E402

_pool = HotPool(size=2)

application = Door(
    Sources(_pool),
    EventTypes(_pool, settings.AJO_INGEST_MAX_EVENT_TYPES),
    lambda events: None,
    queue=settings.AJO_INGEST_QUEUE,
)
