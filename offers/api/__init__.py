"""Offers under `/api/v1/`: items, placements, collections, strategies, policies and decisions."""

from __future__ import annotations
