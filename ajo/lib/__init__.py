"""Tools that know no domain word. They import nothing of ours and have no models."""

from __future__ import annotations
