"""Scheduled and API-triggered sends."""

from __future__ import annotations
