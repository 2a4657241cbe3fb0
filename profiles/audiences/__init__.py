"""Audiences: rules that are kept true, and lists.

`rules` reads a rule (pure), `evaluate` writes who entered and who left, `services` is what others ask for: activate,
archive and change an audience, replace a list, and the two pieces of work that wait in rows: full evaluation, and
looking again when mere time may have changed an answer. `stays` tells where a person is and was.
"""

from __future__ import annotations

from typing import Final

ENTERED: Final = "$audience_entered"
LEFT: Final = "$audience_left"
"""The events by which a profile, and whatever listens, learns of it. Their property `audience` is its key."""
