"""Journeys: the map (graph), its frozen editions (versions), and everybody's walk through them (instances)."""

from __future__ import annotations
