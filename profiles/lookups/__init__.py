"""Lookups: keyed tables that rules and content read values from, and pools of codes of which each is given once.

`columns` says what a column is and reads a value as its type (pure), `rows` reads and imports rows, `codes` takes and
adds codes.
"""

from __future__ import annotations
