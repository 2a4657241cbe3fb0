from __future__ import annotations

from offers.admin import decisions, items, setup  # noqa: F401  registers its pages
