"""A person's timeline: what they did, how they walked through journeys, what we wrote to them, and why or why not.

page = timeline(profile_id, limit=50)
older = timeline(profile_id, before=page.next)
"""

from __future__ import annotations

from ajo.timeline.gather import BadCursor, Page, timeline
from ajo.timeline.words import Entry, Kind, Note

__all__ = ["BadCursor", "Entry", "Kind", "Note", "Page", "timeline"]
