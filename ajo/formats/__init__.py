"""Formats of dates and times for each language, where Django’s own do not fit."""

from __future__ import annotations
