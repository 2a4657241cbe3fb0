"""What is best to show: offers, eligibility, caps, ranking."""

from __future__ import annotations
