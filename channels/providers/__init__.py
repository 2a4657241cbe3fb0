"""Senders: one file per kind. A provider says how its service spells things; `channels.delivery` owns the flow."""

from __future__ import annotations

from ajo.lib.registry import Registry
from channels.providers.base import Provider

registry: Registry[Provider] = Registry(
    "channel provider", Provider, required=("kind", "label", "channel", "Settings")
)
