"""Reports under `/api/v1/reports/`: the numbers of the report pages, as JSON or as their CSV."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import date
from typing import Any

from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from ajo import report_sheets, report_subjects
from ajo.core.rest.serializers import Filters, WordField
from ajo.core.rest.views import View, not_found
from ajo.report_subjects import Subject
from campaigns.models import Campaign, CampaignRun
from channels import reports
from channels.goal_forms import GoalSerializer, goal_json
from channels.models import MessageMark
from channels.reports import Numbers
from journeys.models import Journey
from offers import rollups
from offers.models import OfferItem, Placement
from offers.rollups import OfferNumbers
from profiles.models import Channel

Mark = MessageMark
RATES = (Mark.WITHHELD, Mark.SENT, Mark.DELIVERED, Mark.OPENED, Mark.CLICKED, Mark.CONVERTED)
MAX_DAYS = 365


class ReportFilters(Filters):
    format = serializers.ChoiceField(
        ["json", "csv"], default="json", help_text="CSV has a line for each day, or for each author."
    )


class OverviewFilters(ReportFilters):
    days = serializers.IntegerField(
        min_value=1, max_value=MAX_DAYS, default=30, help_text="In UTC, today included."
    )


class MessageNumbersSerializer(serializers.Serializer[Any]):
    messages = serializers.DictField(
        child=serializers.IntegerField(),
        help_text="How many wait, and how many have each mark, such as sent.",
    )
    rates = serializers.DictField(
        child=serializers.FloatField(allow_null=True),
        help_text="Withheld and sent of those targeted, all others of those sent; null of nothing.",
    )


class ReasonSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField(help_text="Its code, such as frequency_cap.")
    count = serializers.IntegerField()

    class Meta:
        ref_name = "ReportReason"


class ReportDaySerializer(serializers.Serializer[Any]):
    day = serializers.DateField()
    messages = serializers.DictField(child=serializers.IntegerField())


class ReportChannelSerializer(MessageNumbersSerializer):
    channel = WordField(Channel)


class ReportPartSerializer(MessageNumbersSerializer):
    activity = serializers.CharField(
        allow_blank=True, help_text="The id of the box in a journey; empty of campaigns."
    )
    channel = WordField(Channel)


class ReportOriginSerializer(MessageNumbersSerializer):
    number = serializers.IntegerField(help_text="Of the version, or of the run.")
    name = serializers.CharField()


class ReportAuthorSerializer(MessageNumbersSerializer):
    kind = serializers.ChoiceField(["journey", "campaign", "notice", "deleted"])
    key = serializers.CharField(allow_null=True)
    name = serializers.CharField()


class OfferNumbersSerializer(serializers.Serializer[Any]):
    decided = serializers.IntegerField(help_text="How often it was chosen.")
    shown = serializers.IntegerField()
    clicked = serializers.IntegerField()
    converted = serializers.IntegerField()


class ReportOfferSerializer(OfferNumbersSerializer):
    key = serializers.CharField()
    name = serializers.CharField()


class OverviewReportSerializer(MessageNumbersSerializer):
    days = serializers.IntegerField()
    withheld = ReasonSerializer(many=True, help_text="Most first.")
    channels = ReportChannelSerializer(many=True)
    authors = ReportAuthorSerializer(many=True, help_text="Who sent most first.")
    offers = ReportOfferSerializer(many=True, help_text="Chosen most often first.")
    by_day = ReportDaySerializer(many=True, help_text="Days without anything are left out.")


class SubjectReportSerializer(MessageNumbersSerializer):
    """Since the first message."""

    kind = serializers.ChoiceField(["journey", "campaign", "run"])
    key = serializers.CharField(help_text="Of the journey or the campaign.")
    name = serializers.CharField()
    goal = GoalSerializer(allow_null=True, help_text="What counts as converted.")
    withheld = ReasonSerializer(many=True, help_text="Most first.")
    parts = ReportPartSerializer(many=True, help_text="By activity and channel.")
    origins = ReportOriginSerializer(many=True, help_text="By version or run, newest first.")
    by_day = ReportDaySerializer(many=True, help_text="Days without anything are left out.")


class ReportOfferDaySerializer(OfferNumbersSerializer):
    day = serializers.DateField()


class OfferReportSerializer(ReportOfferSerializer):
    """Since its first decision."""

    placements = ReportOfferSerializer(many=True, help_text="Chosen most often first.")
    by_day = ReportOfferDaySerializer(many=True, help_text="Days without anything are left out.")


def _described(shape: type[serializers.Serializer[Any]], id: str) -> Any:
    """The decorator of a report that comes in two forms."""
    return extend_schema(
        tags=["reports"],
        operation_id=id,
        responses={(200, "application/json"): shape, (200, "text/csv"): OpenApiTypes.STR},
    )


class ReportView(View):
    scopes = {"get": "reports:read"}
    filters = {"get": ReportFilters}

    @property
    def wants_csv(self) -> bool:
        return bool(self.asked["format"] == "csv")

    def answer(self, subject: Subject) -> Response | HttpResponse:
        made = reports.report(subject.cause_kind, subject.origin_ids)
        if self.wants_csv:
            days = ((day.isoformat(), subject.name, made.days[day]) for day in sorted(made.days))
            return report_sheets.of_messages(days)
        body = {
            "kind": subject.kind,
            "key": subject.key,
            "name": subject.name,
            "goal": goal_json(subject.goal),
            **_numbers(made.total),
            "withheld": _withheld(made.total),
            "parts": [
                {"activity": activity, "channel": channel, **_numbers(numbers)}
                for (activity, channel), numbers in sorted(made.parts.items())
            ],
            "origins": [
                {"number": part.number, "name": part.name, **_numbers(made.origins[id])}
                for id, part in reversed(list(subject.parts.items()))
                if id in made.origins
            ],
            "by_day": _by_day(made.days),
        }
        return Response(SubjectReportSerializer(body).data)


class OverviewReportView(ReportView):
    filters = {"get": OverviewFilters}

    @_described(OverviewReportSerializer, "report_overview")
    def get(self, request: Request) -> Response | HttpResponse:
        """What happened to everybody's messages and offers in the last days."""
        today, days = timezone.now().date(), self.asked["days"]
        made = reports.overview(today, days)
        authors = report_subjects.authors(made.origins)
        if self.wants_csv:
            return report_sheets.of_messages(("", author.name, numbers) for author, numbers in authors)
        offered = rollups.overview(today, days).parts
        items = OfferItem.objects.filter(pk__in=offered)
        body = {
            "days": days,
            **_numbers(made.total),
            "withheld": _withheld(made.total),
            "channels": [
                {"channel": channel, **_numbers(numbers)}
                for channel, numbers in sorted(made.channels.items())
            ],
            "authors": [
                {"kind": author.kind, "key": author.key or None, "name": author.name, **_numbers(numbers)}
                for author, numbers in authors
            ],
            "offers": _most_first([_offer(item, offered[item.pk]) for item in items]),
            "by_day": _by_day(made.days),
        }
        return Response(OverviewReportSerializer(body).data)


class JourneyReportView(ReportView):
    @_described(SubjectReportSerializer, "report_journey")
    def get(self, request: Request, key: str) -> Response | HttpResponse:
        """What became of the messages of a journey, by box and by version."""
        journey = Journey.objects.filter(key=key).select_related("goal__event_type").first()
        if journey is None:
            raise not_found(Journey, key)
        return self.answer(report_subjects.of_journey(journey))


class CampaignReportView(ReportView):
    @_described(SubjectReportSerializer, "report_campaign")
    def get(self, request: Request, key: str) -> Response | HttpResponse:
        """What became of the messages of a campaign, by run."""
        campaign = Campaign.objects.filter(key=key).select_related("goal__event_type").first()
        if campaign is None:
            raise not_found(Campaign, key)
        return self.answer(report_subjects.of_campaign(campaign))


class RunReportView(ReportView):
    @extend_schema(parameters=[OpenApiParameter("number", int, OpenApiParameter.PATH)])
    @_described(SubjectReportSerializer, "report_campaign_run")
    def get(self, request: Request, key: str, number: int) -> Response | HttpResponse:
        """What became of the messages of one run of a campaign."""
        runs = CampaignRun.objects.select_related("campaign__goal__event_type")
        run = runs.filter(campaign__key=key, number=number).first()
        if run is None:
            raise not_found(CampaignRun, number)
        return self.answer(report_subjects.of_run(run))


class OfferReportView(ReportView):
    @_described(OfferReportSerializer, "report_offer")
    def get(self, request: Request, key: str) -> Response | HttpResponse:
        """How often an offer item was chosen, by placement and by day, and what became of that."""
        offer = OfferItem.objects.filter(key=key).first()
        if offer is None:
            raise not_found(OfferItem, key)
        made = rollups.report(offer.pk)
        if self.wants_csv:
            return report_sheets.of_offer(offer.name, made.days)
        placements = Placement.objects.filter(pk__in=made.parts)
        body = {
            **_offer(offer, made.total),
            "placements": _most_first([_offer(place, made.parts[place.pk]) for place in placements]),
            "by_day": [{"day": day, **asdict(made.days[day])} for day in sorted(made.days)],
        }
        return Response(OfferReportSerializer(body).data)


def _numbers(numbers: Numbers) -> dict[str, Any]:
    return {
        "messages": _marks(numbers) | {"waiting": numbers.waiting},
        "rates": {mark.name.lower(): numbers.rate(mark) for mark in RATES},
    }


def _marks(numbers: Numbers) -> dict[str, int]:
    return {mark.name.lower(): numbers[mark] for mark in Mark}


def _withheld(numbers: Numbers) -> list[dict[str, Any]]:
    found = sorted(numbers.withheld_for.items(), key=lambda item: (-item[1], item[0]))
    return [{"reason": code, "count": n} for code, n in found if n]


def _by_day(days: Mapping[date, Numbers]) -> list[dict[str, Any]]:
    return [{"day": day, "messages": _marks(days[day])} for day in sorted(days)]


def _offer(one: OfferItem | Placement, numbers: OfferNumbers) -> dict[str, Any]:
    return {"key": one.key, "name": one.name, **asdict(numbers)}


def _most_first(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: (-row["decided"], row["key"]))
