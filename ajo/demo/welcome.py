"""The welcome email of the demo and the journey that sends it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ajo.demo import WELCOME_EVENT, WELCOME_JOURNEY

KEY = WELCOME_JOURNEY  # of the journey and of the content
NAME = "Welcome"
CONFIGURATION_KEY = "demo-email"
SUBJECT = 'Welcome aboard, {{ profile.first_name | default: "friend" }}'
PREHEADER = (
    '{% if event.park_day %}Your park day is {{ event.park_day | date: "%A, %-d %B" }}.{% else %}'
    'Your {{ profile.loyalty_tier | default: "Member" }} card is ready, and a day out is on us.{% endif %}'
)
_WORDS = Path(__file__).parent / "words"


def words() -> dict[str, str]:
    """The email as the fields of a content variant."""
    return {
        "subject": SUBJECT,
        "preheader": PREHEADER,
        "html": (_WORDS / "welcome.html").read_text(),
        "text": (_WORDS / "welcome.txt").read_text(),
    }


def graph() -> dict[str, Any]:
    """Signed up → email → end. Marketing: it speaks of an offer, so whoever opted out does not get it."""
    message = {"content": KEY, "configuration": CONFIGURATION_KEY, "message_class": "marketing"}
    return {
        "activities": [
            {"id": "signed-up", "kind": "event_entry", "config": {"event": WELCOME_EVENT}},
            {"id": "welcome-email", "kind": "message", "config": message},
            {"id": "end", "kind": "end", "config": {}},
        ],
        "links": [
            {"from": "signed-up", "port": "next", "to": "welcome-email"},
            {"from": "welcome-email", "port": "next", "to": "end"},
        ],
    }
