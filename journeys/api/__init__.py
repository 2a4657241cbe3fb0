"""Journeys under `/api/v1/`: what may be drawn, drafts and versions, publishing and operating, who is inside."""

from __future__ import annotations
