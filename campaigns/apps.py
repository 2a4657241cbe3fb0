from __future__ import annotations

from django.apps import AppConfig


class CampaignsConfig(AppConfig):
    name = "campaigns"

    def ready(self) -> None:
        from campaigns import runs
        from profiles.merging import register_merge

        register_merge("campaigns", runs.follow_merge, lock=runs.lock_for_merge)
