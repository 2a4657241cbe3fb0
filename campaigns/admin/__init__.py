from __future__ import annotations

from campaigns.admin import campaigns, notices  # noqa: F401  registers their pages
