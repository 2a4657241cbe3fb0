"""Reports as spreadsheets: CSV with a line for each day, or for each author."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from datetime import date

from django.http import HttpResponse
from django.utils import timezone

from channels.models import MessageMark
from channels.reports import Numbers
from offers.rollups import OfferNumbers

OFFER_COLUMNS = ("decided", "shown", "clicked", "converted")


def of_messages(rows: Iterable[tuple[str, str, Numbers]]) -> HttpResponse:
    """Rows of (day or nothing, name, numbers); a column for each mark."""
    marks = list(MessageMark)
    lines = ([day, _plain(name), *(numbers[mark] for mark in marks)] for day, name, numbers in rows)
    return _answer(["day", "name", *(mark.name.lower() for mark in marks)], lines)


def of_offer(name: str, days: Mapping[date, OfferNumbers]) -> HttpResponse:
    lines = (
        [day.isoformat(), _plain(name), *(getattr(days[day], column) for column in OFFER_COLUMNS)]
        for day in sorted(days)
    )
    return _answer(["day", "name", *OFFER_COLUMNS], lines)


def _plain(text: str) -> str:
    """A spreadsheet would run what begins like a formula."""
    return f"'{text}" if text[:1] in "=+-@\t\r" else text


def _answer(columns: list[str], lines: Iterable[list[object]]) -> HttpResponse:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(lines)
    answer = HttpResponse(text.getvalue(), content_type="text/csv; charset=utf-8")
    stamp = f"{timezone.localtime():%Y-%m-%d}"
    answer["Content-Disposition"] = f'attachment; filename="report-{stamp}.csv"'
    return answer
