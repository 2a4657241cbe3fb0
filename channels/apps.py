from __future__ import annotations

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules

from ajo.lib.registry import import_kinds


class ChannelsConfig(AppConfig):
    name = "channels"

    def ready(self) -> None:
        from channels import conversions, delivery, devices, offer_uses, shown_offers, usage
        from channels.inbound import reports
        from channels.tracking import feedback
        from offers import usage as offer_usage
        from profiles import consumers
        from profiles.lookups import usage as lookup_usage
        from profiles.merging import register_merge

        import_kinds("channels.providers")
        autodiscover_modules("providers")  # those of other installed apps
        register_merge("channels", delivery.move_merged)
        register_merge("devices", devices.move_merged)
        lookup_usage.register("contents", usage.lookups_in_use)
        consumers.register("channels", feedback.consume, reacts=False)
        consumers.register("reports of services", reports.consume, reacts=False)
        consumers.register("devices", devices.consume, reacts=False)
        consumers.register("offers of messages", shown_offers.consume, reacts=False)
        consumers.register("conversions", conversions.consume, reacts=False)
        offer_usage.policies.register("contents", offer_uses.policies_in_use)
        offer_usage.placements.register("contents", offer_uses.placements_in_use)
        offer_usage.messages.register("messages", offer_uses.messages_of)
