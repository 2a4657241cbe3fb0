"""Reports on screen: everybody's last days, what became of the messages of one author, and of one offer item."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, NamedTuple

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from ajo import report_sheets, report_subjects
from ajo.report_subjects import Subject
from campaigns.models import Campaign, CampaignRun
from channels import goals, reports
from channels.models import CauseKind, Message, MessageMark
from channels.reports import Numbers, Origin
from journeys.models import Journey
from offers import rollups
from offers.models import OfferItem, Placement
from offers.rollups import OfferNumbers
from profiles.models import Channel

PERMISSION = "channels.view_messagecount"
PERIODS = (7, 30, 90)
MOST_ROWS = 100
Mark = MessageMark

COLUMNS = (
    *(Mark.TARGETED, Mark.WITHHELD, Mark.SENT, Mark.DELIVERED),
    *(Mark.OPENED, Mark.CLICKED, Mark.CONVERTED),
)
"""Of the tables, in the order in which they happen."""
DETAILS = (
    *(Mark.SENT, Mark.DELIVERED, Mark.OPENED, Mark.OPENED_BY_MACHINE, Mark.CLICKED),
    *(Mark.CLICKED_BY_MACHINE, Mark.CONVERTED, Mark.UNSUBSCRIBED, Mark.BOUNCED, Mark.COMPLAINED),
)
OFFER_COLUMNS = (_("Decided"), _("Shown"), _("Clicked"), _("Converted"))
_CHART_HEIGHT = 160
_WIDTHS = (8, 5, 2)
"""Of the bars of a day, the wider behind the narrower, in a column of ten."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table. `cells`: for each column the number, None where nobody can know it, and its share in words,
    empty where there is none."""

    title: str
    url: str
    kind: str
    cells: Sequence[tuple[int | None, str]]


class Series(NamedTuple):
    """What a chart shows of each day; `tone` is the class of its bars."""

    tone: str
    label: str
    days: Mapping[date, int]


class Bar(NamedTuple):
    """One of the bars of a day, in units of the chart's view box."""

    tone: str
    label: str
    n: int
    x: int
    y: int
    width: int
    height: int


@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    """The last days of everybody: by channel, by who wrote, and by offer item."""
    _check(request)
    today, days = timezone.now().date(), _days(request)
    made = reports.overview(today, days)
    authors = report_subjects.authors(made.origins)
    if request.GET.get("format") == "csv":
        return report_sheets.of_messages(("", author.name, numbers) for author, numbers in authors)
    rows = [_row(author.name, author.report, author.label, numbers) for author, numbers in authors]
    channels = sorted(made.channels.items())
    offered = rollups.overview(today, days)
    context = {
        "title": _("Reports"),
        "total": _row("", "", "", made.total),
        "channels": [_row(str(Channel(channel).label), "", "", numbers) for channel, numbers in channels],
        "authors": rows[:MOST_ROWS],
        "hidden": max(0, len(rows) - MOST_ROWS),
        "offer_columns": OFFER_COLUMNS,
        "offers": _offer_rows(offered.parts),
    }
    return _render(request, "overview", context, _message_series(made.days))


@require_safe
def journey_report(request: HttpRequest, key: str) -> HttpResponse:
    journey = get_object_or_404(Journey.objects.select_related("goal__event_type"), key=key)
    return _subject_page(request, report_subjects.of_journey(journey))


@require_safe
def campaign_report(request: HttpRequest, key: str) -> HttpResponse:
    campaign = get_object_or_404(Campaign.objects.select_related("goal__event_type"), key=key)
    return _subject_page(request, report_subjects.of_campaign(campaign))


@require_safe
def run_report(request: HttpRequest, key: str, number: int) -> HttpResponse:
    runs = CampaignRun.objects.select_related("campaign__goal__event_type")
    run = get_object_or_404(runs, campaign__key=key, number=number)
    above = (str(run.campaign), reverse("report-campaign", args=[key]))
    return _subject_page(request, report_subjects.of_run(run), above=above)


@require_safe
def offer_report(request: HttpRequest, key: str) -> HttpResponse:
    """How often an offer item was chosen, by placement and by day, and what became of that."""
    _check(request)
    offer = get_object_or_404(OfferItem, key=key)
    made = rollups.report(offer.pk)
    if request.GET.get("format") == "csv":
        return report_sheets.of_offer(offer.name, made.days)
    names = dict(Placement.objects.filter(pk__in=made.parts).values_list("pk", "name"))
    placements = [
        _offer_row(names.get(id) or gettext("Deleted"), "", numbers)
        for id, numbers in sorted(made.parts.items(), key=lambda part: -part[1].decided)
    ]
    context = {
        "title": offer.name,
        "offer": offer,
        "page": _page_of(offer, request),
        "columns": OFFER_COLUMNS,
        "total": _offer_row("", "", made.total),
        "placements": placements,
    }
    series = [
        Series("sent", gettext("Shown"), {day: numbers.shown for day, numbers in made.days.items()}),
        Series("opened", gettext("Clicked"), {day: numbers.clicked for day, numbers in made.days.items()}),
        Series(
            "clicked", gettext("Converted"), {day: numbers.converted for day, numbers in made.days.items()}
        ),
    ]
    return _render(request, "offer", context, series)


@require_safe
def report_of(request: HttpRequest, cause: int, origin: int) -> HttpResponse:
    """Leads to the report in which the messages of an origin are counted."""
    _check(request)
    url = report_subjects.report_of(Origin(cause, origin)) if cause in CauseKind else ""
    if not url:
        raise Http404(gettext("These messages are in no report but everybody’s."))
    return HttpResponseRedirect(url)


def _subject_page(
    request: HttpRequest, subject: Subject, *, above: tuple[str, str] | None = None
) -> HttpResponse:
    """`above`: the name and the report of what the subject is a part of."""
    _check(request)
    made = reports.report(subject.cause_kind, subject.origin_ids)
    if request.GET.get("format") == "csv":
        days = ((day.isoformat(), subject.name, made.days[day]) for day in sorted(made.days))
        return report_sheets.of_messages(days)
    parts = [
        _row(subject.boxes.get(activity) or activity, "", str(Channel(channel).label), numbers)
        for (activity, channel), numbers in sorted(made.parts.items())
    ]
    origins = [
        _row(part.name, part.report, "", made.origins[id])
        for id, part in reversed(list(subject.parts.items()))
        if id in made.origins
    ]
    labels = dict(Message.Reason.choices)
    withheld = sorted(made.total.withheld_for.items(), key=lambda item: -item[1])
    total = made.total
    context = {
        "title": subject.name,
        "subject": subject,
        "above": above,
        "goal": goals.said(subject.goal),
        "total": _row("", "", "", total),
        "numbers": total,
        "details": [
            (str(mark.label), total[mark], _percent(total.rate(mark))) for mark in DETAILS if total[mark]
        ],
        "withheld": [(str(labels.get(code) or gettext("Other")), n) for code, n in withheld if n],
        "parts": parts if len(parts) > 1 or any(activity for activity, _channel in made.parts) else [],
        "origins": origins[:MOST_ROWS],
        "hidden": max(0, len(origins) - MOST_ROWS),
    }
    return _render(request, "subject", context, _message_series(made.days))


def _check(request: HttpRequest) -> None:
    user: Any = request.user
    if not user.has_perm(PERMISSION):
        raise PermissionDenied


def _render(
    request: HttpRequest, name: str, context: dict[str, Any], series: Sequence[Series]
) -> HttpResponse:
    days = _days(request)
    framed = {
        **admin.site.each_context(request),
        "columns": [mark.label for mark in COLUMNS],
        "days": days,
        "periods": PERIODS,
        **_chart(series, timezone.now().date(), days),
        **context,
    }
    return render(request, f"admin/reports/{name}.html", framed)


def _days(request: HttpRequest) -> int:
    asked = request.GET.get("days", "")
    return int(asked) if asked in {str(days) for days in PERIODS} else 30


def _page_of(offer: OfferItem, request: HttpRequest) -> str:
    """The page where an offer item is written, for those who may see it."""
    user: Any = request.user
    if not user.has_perm("offers.view_offeritem"):
        return ""
    return reverse("admin:offers_offeritem_change", args=[offer.pk])


# --- tables --------------------------------------------------------------------------------------------------


def _row(title: str, url: str, kind: str, numbers: Numbers) -> Row:
    return Row(title, url, kind, [_cell(numbers, mark) for mark in COLUMNS])


def _cell(numbers: Numbers, mark: MessageMark) -> tuple[int | None, str]:
    """Many services say nothing about deliveries: then that none is known does not mean that there were none."""
    if mark == Mark.DELIVERED and not (numbers[Mark.DELIVERED] or numbers[Mark.BOUNCED]):
        return None, ""
    return numbers[mark], "" if mark == Mark.TARGETED else _percent(numbers.rate(mark))


def _offer_rows(parts: Mapping[int, OfferNumbers]) -> list[Row]:
    """Offer items by how often they were chosen, most first. One statement."""
    items = OfferItem.objects.filter(pk__in=parts)
    items_first = sorted(items, key=lambda item: (-parts[item.pk].decided, item.name))
    return [
        _offer_row(item.name, reverse("report-offer", args=[item.key]), parts[item.pk])
        for item in items_first[:MOST_ROWS]
    ]


def _offer_row(title: str, url: str, numbers: OfferNumbers) -> Row:
    """Shares of shown are of the decisions, all others of those shown."""
    bases = (
        *((numbers.decided, 0), (numbers.shown, numbers.decided)),
        *((numbers.clicked, numbers.shown), (numbers.converted, numbers.shown)),
    )
    return Row(title, url, "", [(n, _percent(n / base if base else None)) for n, base in bases])


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share * 100:.1f} %"


# --- charts --------------------------------------------------------------------------------------------------


def _message_series(days: Mapping[date, Numbers]) -> list[Series]:
    shown = ((Mark.SENT, "sent"), (Mark.OPENED, "opened"), (Mark.CLICKED, "clicked"))
    return [
        Series(tone, str(mark.label), {day: numbers[mark] for day, numbers in days.items()})
        for mark, tone in shown
    ]


def _chart(series: Sequence[Series], today: date, count: int) -> dict[str, Any]:
    """Bars of the last days, today included, one before the other."""
    dates = [today - timedelta(days=back) for back in reversed(range(count))]
    highest = max([one.days.get(day, 0) for one in series for day in dates] + [1])

    def bars(day: date, x: int) -> Iterable[Bar]:
        for one, width in zip(series, _WIDTHS, strict=True):
            n = one.days.get(day, 0)
            height = max(2, round(n / highest * _CHART_HEIGHT)) if n else 0
            yield Bar(one.tone, one.label, n, x + (10 - width) // 2, _CHART_HEIGHT - height, width, height)

    columns = [(day, number * 10, list(bars(day, number * 10))) for number, day in enumerate(dates)]
    return {
        "series": series,
        "bars": columns,
        "full_days": [(day, marks) for day, _x, marks in reversed(columns) if any(bar.n for bar in marks)],
        "width": count * 10,
        "height": _CHART_HEIGHT,
        "highest": highest,
    }
