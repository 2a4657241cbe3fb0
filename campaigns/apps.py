from __future__ import annotations

from django.apps import AppConfig


class CampaignsConfig(AppConfig):
    name = "campaigns"

    def ready(self) -> None:
        from campaigns import runs, usage
        from channels import usage as content_usage
        from profiles.audiences import usage as audience_usage
        from profiles.merging import register_merge

        content_usage.register("campaigns", usage.contents_in_use)
        audience_usage.register("campaigns", usage.audiences_in_use)
        register_merge("campaigns", runs.follow_merge, lock=runs.lock_for_merge)
