"""What an API key may be allowed, and the permissions that a person needs for the same: one table for both."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True, slots=True)
class Scope:
    """One thing that a key may do. `permissions` are what a member of staff needs for it; none: all of them may."""

    label: Any
    permissions: tuple[str, ...] = ()


SCOPES: dict[str, Scope] = {
    "catalogue:read": Scope(_("Read the names of activities, events, attributes and channel configurations")),
    "profiles:read": Scope(_("Read profiles and their timelines"), ("profiles.view_profile",)),
    "business-events:write": Scope(
        _("Report what happens in the business"), ("profiles.report_businessevent",)
    ),
    "profiles:write": Scope(_("Note what profiles consent to"), ("profiles.change_profile",)),
    "journeys:read": Scope(_("Read journeys, their counts and who is in them"), ("journeys.view_journey",)),
    "journeys:write": Scope(
        _("Write journeys and their drafts"), ("journeys.add_journey", "journeys.change_journey")
    ),
    "journeys:publish": Scope(_("Publish journeys"), ("journeys.publish_journey",)),
    "journeys:operate": Scope(_("Pause, resume, close and stop journeys"), ("journeys.operate_journey",)),
    "reports:read": Scope(_("Read reports of messages and offers"), ("channels.view_messagecount",)),
    "contents:read": Scope(_("Read content"), ("channels.view_content",)),
    "contents:write": Scope(
        _("Write content and its drafts"), ("channels.add_content", "channels.change_content")
    ),
    "contents:publish": Scope(_("Publish content"), ("channels.publish_content",)),
    "contents:proof": Scope(_("Send a proof to an address"), ("channels.send_proof",)),
    "messages:read": Scope(_("Read messages and their source"), ("channels.view_message",)),
    "devices:read": Scope(_("Read devices that take pushes"), ("channels.view_device",)),
    "devices:write": Scope(_("Register devices and switch them off"), ("channels.change_device",)),
    "suppressions:write": Scope(_("Add addresses that are never sent to"), ("channels.add_suppression",)),
    "offers:read": Scope(_("Read offer items and how they are decided about"), ("offers.view_offeritem",)),
    "offers:write": Scope(
        _("Write offer items, placements, collections, strategies and policies"),
        ("offers.add_offeritem", "offers.change_offeritem"),
    ),
    "offers:approve": Scope(_("Approve, withdraw and archive offer items"), ("offers.approve_offeritem",)),
    "offers:decide": Scope(
        _("Decide which offers somebody gets, and report what became of them"), ("offers.add_decision",)
    ),
    "decisions:read": Scope(
        _("Read decisions with the reason of every candidate"), ("offers.view_decision",)
    ),
    "campaigns:read": Scope(_("Read campaigns, their runs and their requests"), ("campaigns.view_campaign",)),
    "campaigns:write": Scope(
        _("Write campaigns and submit them"), ("campaigns.add_campaign", "campaigns.change_campaign")
    ),
    "campaigns:approve": Scope(_("Approve campaigns and send them back"), ("campaigns.approve_campaign",)),
    "campaigns:operate": Scope(_("Pause, resume and stop campaigns"), ("campaigns.operate_campaign",)),
    "campaigns:send": Scope(_("Send triggered campaigns to people"), ("campaigns.trigger_campaign",)),
    "audiences:read": Scope(
        _("Read audiences and who is in them"), ("profiles.view_audience", "profiles.view_profile")
    ),
    "audiences:write": Scope(
        _("Write audiences, activate and archive them, upload lists"),
        ("profiles.add_audience", "profiles.change_audience"),
    ),
    "lookups:read": Scope(
        _("Read lookups, and which codes were given"), ("profiles.view_lookup", "profiles.view_codepool")
    ),
    "lookups:write": Scope(
        _("Write lookups and import codes"),
        (
            "profiles.add_lookup",
            "profiles.change_lookup",
            "profiles.add_codepool",
            "profiles.change_codepool",
        ),
    ),
}


def unknown(scopes: Collection[str]) -> list[str]:
    """Those that are no scopes, in their order."""
    return [scope for scope in scopes if scope not in SCOPES]
