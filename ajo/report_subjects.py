"""Whom a report is about: a journey, a campaign, one of its runs; and whose message is whose."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext

from campaigns.models import Campaign, CampaignRun
from channels.models import CauseKind, Goal, MessageMark
from channels.reports import Numbers, Origin
from journeys.models import Journey, JourneyVersion


@dataclass(frozen=True, slots=True)
class Subject:
    """A journey, a campaign or a run whose messages are reported together."""

    name: str
    kind: str
    """One word for programs: journey, campaign, run."""
    label: str
    key: str
    cause_kind: int
    origin_ids: tuple[int, ...]
    report: str
    """The address of its report."""
    page: str
    """The address of the page where it is made."""
    goal: Goal | None
    parts: Mapping[int, Part]
    """Origin id → what it is, where several origins make up the subject."""
    boxes: Mapping[str, str]
    """Activity → the name that its author gave it."""


class Part(NamedTuple):
    """A version of a journey or a run of a campaign."""

    number: int
    name: str
    report: str


class Author(NamedTuple):
    """Who wrote messages. `key` and `report` are empty where there is no such page, as of notices."""

    name: str
    kind: str
    label: str
    key: str
    report: str


def of_journey(journey: Journey) -> Subject:
    versions = list(journey.versions.order_by("number"))
    return Subject(
        name=journey.name,
        kind="journey",
        label=gettext("Journey"),
        key=journey.key,
        cause_kind=CauseKind.JOURNEY_INSTANCE.value,
        origin_ids=tuple(version.pk for version in versions),
        report=reverse("report-journey", args=[journey.key]),
        page=reverse("admin:journeys_journey_change", args=[journey.pk]),
        goal=journey.goal,
        parts={
            version.pk: Part(version.number, gettext("Version %(n)s") % {"n": version.number}, "")
            for version in versions
        },
        boxes={
            box["id"]: box["label"]
            for version in versions
            for box in _boxes(version.graph)
            if isinstance(box.get("id"), str) and isinstance(box.get("label"), str) and box["label"].strip()
        },
    )


def _boxes(graph: Any) -> list[dict[str, Any]]:
    """The boxes of any JSON value that claims to be a graph."""
    activities = graph.get("activities") if isinstance(graph, dict) else None
    return [box for box in activities if isinstance(box, dict)] if isinstance(activities, list) else []


def of_campaign(campaign: Campaign) -> Subject:
    is_triggered = campaign.kind == Campaign.Kind.TRIGGERED
    runs = [] if is_triggered else list(campaign.runs.order_by("number"))
    return Subject(
        name=campaign.name,
        kind="campaign",
        label=gettext("Campaign"),
        key=campaign.key,
        cause_kind=(CauseKind.API_REQUEST if is_triggered else CauseKind.CAMPAIGN_RUN).value,
        origin_ids=(campaign.pk,) if is_triggered else tuple(run.pk for run in runs),
        report=reverse("report-campaign", args=[campaign.key]),
        page=reverse("admin:campaigns_campaign_change", args=[campaign.pk]),
        goal=campaign.goal,
        parts={run.pk: Part(run.number, _run_name(run), _run_report(campaign, run)) for run in runs},
        boxes={},
    )


def of_run(run: CampaignRun) -> Subject:
    """A run of a campaign; notices have pages of their own."""
    assert run.campaign is not None
    return Subject(
        name=f"{run.campaign.name}: {_run_name(run)}",
        kind="run",
        label=gettext("Run of a campaign"),
        key=run.campaign.key,
        cause_kind=CauseKind.CAMPAIGN_RUN.value,
        origin_ids=(run.pk,),
        report=_run_report(run.campaign, run),
        page=reverse("admin:campaigns_campaign_run", args=[run.pk]),
        goal=run.campaign.goal,
        parts={},
        boxes={},
    )


def _run_name(run: CampaignRun) -> str:
    due = timezone.localtime(run.due_at)
    return gettext("Run %(number)s, %(time)s") % {"number": run.number, "time": f"{due:%Y-%m-%d %H:%M}"}


def _run_report(campaign: Campaign, run: CampaignRun) -> str:
    return reverse("report-run", args=[campaign.key, run.number])


def authors(origins: Mapping[Origin, Numbers]) -> list[tuple[Author, Numbers]]:
    """The numbers of origins by their authors, who sent most first. At most three statements."""
    found: dict[Author, Numbers] = defaultdict(Numbers)
    names = _names(origins.keys())
    for origin, numbers in origins.items():
        whole = found[names[origin]]
        for mark, n in numbers.marks.items():
            whole.marks[mark] += n
        for code, n in numbers.withheld_for.items():
            whole.withheld_for[code] += n
    return sorted(found.items(), key=_most_sent)


def _most_sent(pair: tuple[Author, Numbers]) -> tuple[int, int, str]:
    author, numbers = pair
    return -numbers[MessageMark.SENT], -numbers[MessageMark.TARGETED], author.name


def _names(origins: Collection[Origin]) -> dict[Origin, Author]:
    ids: dict[int, list[int]] = defaultdict(list)
    for origin in origins:
        ids[origin.cause_kind].append(origin.id)
    found: dict[Origin, Author] = {}
    versions = JourneyVersion.objects.filter(pk__in=ids[CauseKind.JOURNEY_INSTANCE])
    for version in versions.select_related("journey").defer("graph", "pins"):
        journey = version.journey
        url = reverse("report-journey", args=[journey.key])
        author = Author(journey.name, "journey", gettext("Journey"), journey.key, url)
        found[Origin(CauseKind.JOURNEY_INSTANCE.value, version.pk)] = author
    runs = CampaignRun.objects.filter(pk__in=ids[CauseKind.CAMPAIGN_RUN]).select_related("campaign")
    for run in runs:
        notice = Author(str(run.get_kind_display()), "notice", gettext("Notice"), "", "")
        found[Origin(CauseKind.CAMPAIGN_RUN.value, run.pk)] = (
            _campaign(run.campaign) if run.campaign else notice
        )
    for campaign in Campaign.objects.filter(pk__in=ids[CauseKind.API_REQUEST]):
        found[Origin(CauseKind.API_REQUEST.value, campaign.pk)] = _campaign(campaign)
    return {
        origin: found.get(
            origin, Author(gettext("Deleted"), "deleted", str(CauseKind(origin.cause_kind).label), "", "")
        )
        for origin in origins
    }


def _campaign(campaign: Campaign) -> Author:
    url = reverse("report-campaign", args=[campaign.key])
    return Author(campaign.name, "campaign", gettext("Campaign"), campaign.key, url)


def report_of(origin: Origin) -> str:
    """The address of the report in which the messages of an origin are counted; empty when there is none."""
    if origin.cause_kind == CauseKind.CAMPAIGN_RUN:
        run = CampaignRun.objects.filter(pk=origin.id).select_related("campaign").first()
        return _run_report(run.campaign, run) if run is not None and run.campaign is not None else ""
    return _names([origin])[origin].report
