"""The wiring: settings, URLs, Celery, admin site, runtime. It may import every room; no room imports it,
except `ajo.core` and `ajo.lib`."""

from __future__ import annotations
