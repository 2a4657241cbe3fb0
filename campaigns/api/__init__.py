"""Campaigns under `/api/v1/`: written, reviewed, run, and sent by a call."""

from __future__ import annotations
