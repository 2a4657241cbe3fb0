"""Channels under `/api/v1/`: contents, messages, configurations, consent and suppressions."""

from __future__ import annotations
