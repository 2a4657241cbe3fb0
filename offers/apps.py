from __future__ import annotations

from django.apps import AppConfig


class OffersConfig(AppConfig):
    name = "offers"

    def ready(self) -> None:
        from offers import capping
        from profiles.merging import register_merge

        register_merge("offers", capping.merge_caps)
