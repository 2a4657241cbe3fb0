"""Who they are: sources, events, identities, attributes, consent.

Offered to the rooms above: `models`, `services`, and `consumers` (register to be handed each batch of the stream).
"""

from __future__ import annotations
