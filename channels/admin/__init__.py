"""Channels in the administration: write and publish content, set up senders, look at messages, hold them."""

from __future__ import annotations

from channels.admin import configurations, contact_policies, contents, devices, messages  # noqa: F401  each registers its models
