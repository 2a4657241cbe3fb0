from __future__ import annotations

from django.apps import AppConfig


class OffersConfig(AppConfig):
    name = "offers"

    def ready(self) -> None:
        from offers import capping, usage
        from profiles.lookups import usage as lookup_usage
        from profiles.merging import register_merge

        register_merge("offers", capping.merge_caps)
        lookup_usage.register("offers", usage.lookups_in_use)
