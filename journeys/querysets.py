"""Which journeys and versions: adjectives."""

from __future__ import annotations

from django.db.models import Exists, Max, OuterRef, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce

from ajo.core.models import AuditEvent
from journeys.models import Journey, JourneyVersion, JourneyWait

State = JourneyVersion.State


def with_state(journeys: QuerySet[Journey]) -> QuerySet[Journey]:
    """Each with `state`: that of its newest published version, "draft" before there is one."""
    published = JourneyVersion.objects.filter(journey=OuterRef("pk")).exclude(state=State.DRAFT)
    newest = Subquery(published.order_by("-number").values("state")[:1])
    return journeys.annotate(state=Coalesce(newest, Value(State.DRAFT.value)))


def with_last_change(journeys: QuerySet[Journey]) -> QuerySet[Journey]:
    """Each with `last_change`: when anybody last wrote, published or operated it."""
    lines = AuditEvent.objects.filter(
        object_kind=Journey._meta.label_lower, object_key=OuterRef("key")
    ).order_by()
    last = lines.values("object_key").annotate(last=Max("at")).values("last")
    return journeys.annotate(last_change=Coalesce(Subquery(last), "created_at"))


def running_versions() -> QuerySet[JourneyVersion]:
    """Those in which people may be."""
    return JourneyVersion.objects.filter(state__in=[State.LIVE, State.PAUSED, State.CLOSED])


def stopping_versions() -> QuerySet[JourneyVersion]:
    """Stopped, and not everybody is out yet."""
    return JourneyVersion.objects.filter(state=State.STOPPED, ended_at=None)


def drained_versions() -> QuerySet[JourneyVersion]:
    """Closed, and the last person has left. Every walk that goes on has a wait, so the waits say it."""
    waits = JourneyWait.objects.filter(version_id=OuterRef("pk"))
    return JourneyVersion.objects.filter(~Exists(waits), state=State.CLOSED)
