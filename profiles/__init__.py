"""Who they are: sources, events, identities, attributes, consent.

Offered to the rooms above: `models`, `services`, `identity`, `consumers` (register to be handed each batch of the
stream), `own_events` (write what the product itself knows about a profile), `language` with `catalog`, `audiences` and
`lookups`.
"""

from __future__ import annotations
