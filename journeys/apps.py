from __future__ import annotations

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules

from ajo.lib.registry import import_kinds


class JourneysConfig(AppConfig):
    name = "journeys"

    def ready(self) -> None:
        from channels import usage as content_usage
        from journeys import entry, merging, readings, usage
        from offers import usage as offer_usage
        from profiles import business_events, consumers
        from profiles.audiences import usage as audience_usage
        from profiles.lookups import usage as lookup_usage
        from profiles.merging import register_merge

        import_kinds("journeys.activities")
        autodiscover_modules("activities")  # those of other installed apps
        consumers.register("journeys", entry.consume)
        business_events.register("journeys", readings.begin)
        register_merge("journeys", merging.merge_instances)
        content_usage.register("journeys", usage.contents_in_use)
        audience_usage.register("journeys", usage.audiences_in_use)
        offer_usage.policies.register("journeys", usage.policies_in_use)
        offer_usage.placements.register("journeys", usage.placements_in_use)
        offer_usage.walks.register("journeys", usage.journeys_of)
        lookup_usage.register("journeys", usage.lookups_in_use)
