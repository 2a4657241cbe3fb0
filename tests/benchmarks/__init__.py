"""How fast each hot path is, as a ratio to the best that can be written for the same work."""

from __future__ import annotations
