"""Emails to begin with, in MJML: complete, plain, and made to be changed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from django.utils.translation import gettext_lazy as _

_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class StartingPoint:
    """The words with which a new content begins."""

    key: str
    label: Any
    description: Any
    icon: str
    subject: str
    preheader: str

    @property
    def mjml(self) -> str:
        return _read(self.key)


STARTING_POINTS = {
    point.key: point
    for point in [
        StartingPoint(
            "announcement",
            _("Announcement"),
            _("One piece of news, one picture of it in words, one button."),
            "campaign",
            "Something new is here, {{ profile.first_name | default: 'and you are first to know' }}",
            "A short line that makes people curious.",
        ),
        StartingPoint(
            "newsletter",
            _("Newsletter"),
            _("A few stories, each with a headline and a link."),
            "newspaper",
            "What is new this week",
            "Three stories that take two minutes.",
        ),
        StartingPoint(
            "receipt",
            _("Receipt"),
            _("What somebody ordered, line by line, from the event Order Completed."),
            "receipt_long",
            "Your order {{ event.order_id }}",
            "Thank you. Here is what you ordered.",
        ),
        StartingPoint(
            "blank", _("Blank"), _("One column with one line of text."), "crop_portrait", "Your subject", ""
        ),
    ]
}


@cache
def _read(key: str) -> str:
    return (_FOLDER / f"{key}.mjml").read_text(encoding="utf-8")
