"""Reports on screen: everybody's last days, and what became of the messages of one journey or campaign."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from campaigns.models import Campaign, CampaignRun
from channels import reports
from channels.models import CauseKind, Message, MessageMark
from channels.reports import Numbers, Origin
from journeys.models import Journey, JourneyVersion
from profiles.models import Channel

PERMISSION = "channels.view_messagecount"
PERIODS = (7, 30, 90)
MOST_ROWS = 100
Mark = MessageMark

COLUMNS = (Mark.TARGETED, Mark.WITHHELD, Mark.SENT, Mark.DELIVERED, Mark.OPENED, Mark.CLICKED)
"""Of the tables, in the order in which they happen."""
DETAILS = (
    *(Mark.SENT, Mark.DELIVERED, Mark.OPENED, Mark.OPENED_BY_MACHINE, Mark.CLICKED),
    *(Mark.CLICKED_BY_MACHINE, Mark.CONVERTED, Mark.UNSUBSCRIBED, Mark.BOUNCED, Mark.COMPLAINED),
)
_CHART_HEIGHT = 160


@dataclass(frozen=True, slots=True)
class Subject:
    """A journey, campaign or notice whose messages are reported together."""

    name: str
    kind: str
    cause_kind: int
    origin_ids: tuple[int, ...]
    url: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One day of the chart: offsets and heights in units of its view box."""

    day: date
    x: int
    sent: int
    opened: int
    sent_y: int
    sent_height: int
    opened_y: int
    opened_height: int


@dataclass(frozen=True, slots=True)
class Row:
    title: str
    url: str
    kind: str
    numbers: Numbers
    cells: Sequence[tuple[int, str]]
    """For each of COLUMNS the number and its share in words, empty where there is none."""


def subject_of_journey(journey: Journey) -> Subject:
    ids = journey.versions.values_list("pk", flat=True)
    url = reverse("report-journey", args=[journey.key])
    return Subject(journey.name, gettext("Journey"), CauseKind.JOURNEY_INSTANCE, tuple(ids), url)


def subject_of_campaign(campaign: Campaign) -> Subject:
    url = reverse("report-campaign", args=[campaign.key])
    if campaign.kind == Campaign.Kind.TRIGGERED:
        return Subject(campaign.name, gettext("Campaign"), CauseKind.API_REQUEST, (campaign.pk,), url)
    ids = campaign.runs.values_list("pk", flat=True)
    return Subject(campaign.name, gettext("Campaign"), CauseKind.CAMPAIGN_RUN, tuple(ids), url)


@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    """The last days of everybody: by channel, and by who wrote."""
    _check(request)
    today = timezone.now().date()
    days = _days(request)
    made = reports.overview(today, days)
    channels = [
        _row(str(Channel(channel).label), "", "", numbers)
        for channel, numbers in sorted(made.channels.items())
    ]
    authors = list(_authors(made.origins))
    if request.GET.get("format") == "csv":
        return _csv("reports", [("", row) for row in authors])
    context = {
        "title": _("Reports"),
        "days": days,
        "periods": PERIODS,
        "total": _row("", "", "", made.total),
        "channels": channels,
        "authors": authors[:MOST_ROWS],
        "hidden": max(0, len(authors) - MOST_ROWS),
        **_chart(made.days, today, days),
    }
    return render(request, "admin/reports/overview.html", _framed(request, context))


@require_safe
def journey_report(request: HttpRequest, key: str) -> HttpResponse:
    return _subject_page(request, subject_of_journey(get_object_or_404(Journey, key=key)))


@require_safe
def campaign_report(request: HttpRequest, key: str) -> HttpResponse:
    return _subject_page(request, subject_of_campaign(get_object_or_404(Campaign, key=key)))


def _subject_page(request: HttpRequest, subject: Subject) -> HttpResponse:
    _check(request)
    today = timezone.now().date()
    days = _days(request)
    made = reports.report(subject.cause_kind, subject.origin_ids)
    parts = [
        _row(activity or str(Channel(channel).label), "", str(Channel(channel).label), numbers)
        for (activity, channel), numbers in sorted(made.parts.items())
    ]
    if request.GET.get("format") == "csv":
        by_day = [(day.isoformat(), _row(subject.name, "", "", made.days[day])) for day in sorted(made.days)]
        return _csv(subject.name, by_day)
    labels = dict(Message.Reason.choices)
    withheld = sorted(made.total.withheld_for.items(), key=lambda item: -item[1])
    total = made.total
    context = {
        "title": subject.name,
        "subject": subject,
        "days": days,
        "periods": PERIODS,
        "total": _row("", "", "", total),
        "details": [
            (str(mark.label), total[mark], _percent(total.rate(mark))) for mark in DETAILS if total[mark]
        ],
        "withheld": [(str(labels.get(code) or gettext("Other")), n) for code, n in withheld if n],
        "parts": parts,
        **_chart(made.days, today, days),
    }
    return render(request, "admin/reports/subject.html", _framed(request, context))


def _check(request: HttpRequest) -> None:
    user: Any = request.user
    if not user.has_perm(PERMISSION):
        raise PermissionDenied


def _framed(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    return {**admin.site.each_context(request), "columns": [mark.label for mark in COLUMNS], **context}


def _days(request: HttpRequest) -> int:
    asked = request.GET.get("days", "")
    return int(asked) if asked in {str(days) for days in PERIODS} else 30


def _authors(origins: dict[Origin, Numbers]) -> Iterator[Row]:
    """The origins by the journey or campaign that they are of, those that sent most first."""
    by_author: dict[tuple[str, str, str], Numbers] = {}
    names = _names(origins)
    for origin, numbers in origins.items():
        whole = by_author.setdefault(names[origin], Numbers())
        for mark, n in numbers.marks.items():
            whole.marks[mark] += n
    rows = [_row(name, url, kind, numbers) for (name, kind, url), numbers in by_author.items()]
    return iter(
        sorted(rows, key=lambda row: (-row.numbers[Mark.SENT], -row.numbers[Mark.TARGETED], row.title))
    )


def _names(origins: dict[Origin, Numbers]) -> dict[Origin, tuple[str, str, str]]:
    """Origin → name, kind and address of its author. At most three statements."""
    ids: dict[int, list[int]] = {}
    for origin in origins:
        ids.setdefault(origin.cause_kind, []).append(origin.id)
    found: dict[Origin, tuple[str, str, str]] = {}
    versions = JourneyVersion.objects.filter(pk__in=ids.get(CauseKind.JOURNEY_INSTANCE, []))
    for version in versions.select_related("journey"):
        url = reverse("report-journey", args=[version.journey.key])
        origin = Origin(CauseKind.JOURNEY_INSTANCE, version.pk)
        found[origin] = (version.journey.name, gettext("Journey"), url)
    runs = CampaignRun.objects.filter(pk__in=ids.get(CauseKind.CAMPAIGN_RUN, []))
    for run in runs.select_related("campaign"):
        name = run.campaign.name if run.campaign else str(run.get_kind_display())
        kind = gettext("Campaign") if run.campaign else gettext("Notice")
        url = reverse("report-campaign", args=[run.campaign.key]) if run.campaign else ""
        found[Origin(CauseKind.CAMPAIGN_RUN, run.pk)] = (name, kind, url)
    for campaign in Campaign.objects.filter(pk__in=ids.get(CauseKind.API_REQUEST, [])):
        url = reverse("report-campaign", args=[campaign.key])
        found[Origin(CauseKind.API_REQUEST, campaign.pk)] = (campaign.name, gettext("Campaign"), url)
    return {
        origin: found.get(origin, (gettext("Deleted"), str(CauseKind(origin.cause_kind).label), ""))
        for origin in origins
    }


def _row(title: str, url: str, kind: str, numbers: Numbers) -> Row:
    cells = [
        (numbers[mark], "" if mark == Mark.TARGETED else _percent(_share(numbers, mark))) for mark in COLUMNS
    ]
    return Row(title, url, kind, numbers, cells)


def _share(numbers: Numbers, mark: MessageMark) -> float | None:
    if mark == Mark.WITHHELD:
        return numbers[mark] / numbers[Mark.TARGETED] if numbers[Mark.TARGETED] else None
    return numbers.rate(mark)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share * 100:.1f} %"


def _chart(days: dict[date, Numbers], today: date, count: int) -> dict[str, Any]:
    """Bars of the last days: sent, and inside of them opened by a person."""
    first = today - timedelta(days=count - 1)
    sent = reports.day_by_day(days, Mark.SENT, first=first, last=today)
    opened = dict(reports.day_by_day(days, Mark.OPENED, first=first, last=today))
    highest = max([n for _day, n in sent] + list(opened.values()) + [1])

    def height(n: int) -> int:
        return 0 if not n else max(2, round(n / highest * _CHART_HEIGHT))

    bars = [
        Bar(
            day=day,
            x=number * 10,
            sent=n,
            opened=opened[day],
            sent_y=_CHART_HEIGHT - height(n),
            sent_height=height(n),
            opened_y=_CHART_HEIGHT - height(opened[day]),
            opened_height=height(opened[day]),
        )
        for number, (day, n) in enumerate(sent)
    ]
    return {"bars": bars, "width": count * 10, "height": _CHART_HEIGHT, "highest": highest}


def _csv(name: str, rows: Sequence[tuple[str, Row]]) -> HttpResponse:
    """A spreadsheet: a line for each row, with the day in front where there is one."""
    stamp = f"{datetime.now(tz=timezone.get_current_timezone()):%Y-%m-%d}"
    answer = HttpResponse(content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="report-{stamp}.csv"'
    writer = csv.writer(answer)
    marks = list(MessageMark)
    writer.writerow(["day", "name", *(mark.name.lower() for mark in marks)])
    for day, row in rows:
        # A spreadsheet would run what begins like a formula.
        title = f"'{row.title}" if row.title[:1] in "=+-@\t\r" else row.title
        writer.writerow([day, title, *(row.numbers[mark] for mark in marks)])
    return answer
