"""Roles: who may do what. One table; after each migration the database is made to say the same.

A role is a group of Django's that belongs to this table: it has exactly these permissions, and the admin shows it
without letting anybody change it. Who needs other rights makes a group of their own, which is never touched from here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.apps import AppConfig, apps
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True, slots=True)
class Role:
    """`verbs` maps "app.model" to the verbs allowed on it; a verb with a noun of its own is the whole codename."""

    key: str
    label: Promise
    summary: Promise
    verbs: dict[str, str]
    is_staff: bool = True

    def permissions(self) -> set[str]:
        """As "app.codename"."""
        found = set()
        for name, verbs in self.verbs.items():
            app, model = name.split(".")
            found |= {f"{app}.{verb if '_' in verb else f'{verb}_{model}'}" for verb in verbs.split()}
        return found


_AUTHORED = {
    "journeys.journey": "view",
    "journeys.journeyversion": "view",
    "journeys.journeyinstance": "view",
    "channels.content": "view",
    "channels.contentversion": "view",
    "channels.variant": "view",
    "offers.offeritem": "view",
    "offers.placement": "view",
    "offers.collection": "view",
    "offers.selectionstrategy": "view",
    "offers.decisionpolicy": "view",
    "offers.decision": "view",
    "campaigns.campaign": "view",
    "campaigns.campaignrun": "view",
    "profiles.audience": "view",
    "profiles.lookup": "view",
    "profiles.codepool": "view",
    "campaigns.notice": "view",
    "channels.messagecount": "view",
}
_PEOPLE = {
    "profiles.profile": "view",
    "profiles.eventtype": "view",
    "profiles.attributedefinition": "view",
    "channels.message": "view",
    "channels.device": "view",
}
_STOPS = {
    "channels.sendhold": "view",
    "channels.suppression": "view",
    "channels.contactpolicy": "view",
}
_WRITES_OFFERS = {
    "offers.offeritem": "view add change",
    "offers.placement": "view add change",
    "offers.collection": "view add change",
    "offers.selectionstrategy": "view add change",
    "offers.decisionpolicy": "view add change",
}
_EVERYTHING = {
    **_WRITES_OFFERS,
    "offers.offeritem": "view add change approve_offeritem",
    "offers.decision": "view add",
    "journeys.journey": "view add change publish_journey operate_journey",
    "journeys.journeyversion": "view",
    "journeys.journeyinstance": "view",
    "channels.content": "view add change publish_content send_proof",
    "channels.contentversion": "view change",
    "channels.variant": "view add change delete",
    "channels.channelconfiguration": "view add change",
    "channels.messagecount": "view",
    "channels.message": "view",
    "channels.device": "view change",
    "channels.sendhold": "view add change delete",
    "channels.suppression": "view add delete",
    "channels.contactpolicy": "view add change delete",
    "profiles.profile": "view change",
    "profiles.businessevent": "report_businessevent",
    "profiles.eventtype": "view",
    "profiles.attributedefinition": "view add change delete",
    "profiles.source": "view add change",
    "profiles.quarantinedevent": "view",
    "profiles.audience": "view add change",
    "profiles.lookup": "view add change delete",
    "profiles.codepool": "view add change",
    "core.user": "view add change",
    "core.apikey": "view add change",
    "core.auditevent": "view",
    "auth.group": "view add change delete",
    "campaigns.campaign": "view add change approve_campaign operate_campaign trigger_campaign",
    "campaigns.campaignrun": "view",
    "campaigns.notice": "view add change send_notice",
    "notices.liveview": "view add change delete",
}

ROLES = (
    Role("viewer", _("Viewer"), _("Looks at journeys, content, people and messages."), _AUTHORED | _PEOPLE),
    Role(
        "marketer",
        _("Marketer"),
        _("Draws journeys and writes content; somebody else publishes them."),
        _AUTHORED
        | _PEOPLE
        | _STOPS
        | _WRITES_OFFERS
        | {
            "journeys.journey": "view add change",
            "channels.content": "view add change send_proof",
            "channels.contentversion": "view change",
            "channels.variant": "view add change delete",
            "profiles.attributedefinition": "view add change",
            "campaigns.campaign": "view add change",
            "profiles.audience": "view add change",
            "profiles.lookup": "view add change delete",
            "profiles.codepool": "view add change",
            "campaigns.notice": "view add change",
        },
    ),
    Role(
        "approver",
        _("Approver"),
        _("Publishes what marketers made; pauses, closes and stops journeys; holds sending."),
        _AUTHORED
        | _PEOPLE
        | _STOPS
        | {
            "journeys.journey": "view publish_journey operate_journey",
            "channels.content": "view publish_content send_proof",
            "offers.offeritem": "view approve_offeritem",
            "channels.sendhold": "view add change delete",
            "campaigns.campaign": "view approve_campaign operate_campaign",
            "channels.contactpolicy": "view add change delete",
        },
    ),
    Role(
        "operations",
        _("Operations"),
        _("Sends prepared notices and watches journeys chosen for it. Sees nothing of the administration."),
        {"campaigns.notice": "send_notice"},
        is_staff=False,
    ),
    Role(
        "developer",
        _("Developer"),
        _("Connects systems: sources, API keys, attributes; looks at everything that comes in and goes out."),
        _AUTHORED
        | _PEOPLE
        | _STOPS
        | {
            "channels.channelconfiguration": "view",
            "profiles.attributedefinition": "view add change",
            "profiles.businessevent": "report_businessevent",
            "profiles.source": "view add change",
            "profiles.quarantinedevent": "view",
            "core.apikey": "view add change",
            "campaigns.campaign": "view trigger_campaign",
        },
    ),
    Role(
        "privacy",
        _("Privacy"),
        _("Answers people's requests about their data: profiles, messages, suppressions, the audit trail."),
        _PEOPLE
        | {
            "profiles.profile": "view change",
            "journeys.journeyinstance": "view",
            "channels.suppression": "view add delete",
            "profiles.attributedefinition": "view change",
            "core.auditevent": "view",
        },
    ),
    Role(
        "administrator",
        _("Administrator"),
        _("Everything: also users, roles, keys and channel configurations."),
        _EVERYTHING,
    ),
)
BY_KEY = {role.key: role for role in ROLES}


def makes_staff(group_names: Iterable[str]) -> bool:
    """Whether somebody in these groups may sign in to the administration."""
    return any(name not in BY_KEY or BY_KEY[name].is_staff for name in group_names)


def sync_roles(sender: AppConfig, apps: Any = apps, **_: Any) -> None:
    """Receiver of post_migrate: make the groups of the table say what the table says. Four statements when they do."""
    if sender is not _last_sender():
        return  # once, when the permissions of every app are there
    try:
        group_model, permission_model = apps.get_model("auth", "Group"), apps.get_model("auth", "Permission")
    except LookupError:
        return  # migrated back to before the groups
    ids = {
        f"{app}.{codename}": pk
        for pk, app, codename in permission_model.objects.values_list(
            "pk", "content_type__app_label", "codename"
        )
    }
    group_model.objects.bulk_create([group_model(name=role.key) for role in ROLES], ignore_conflicts=True)
    groups = {group.name: group for group in group_model.objects.filter(name__in=BY_KEY)}
    through = group_model.permissions.through
    wanted = {
        (groups[role.key].pk, ids[name]) for role in ROLES for name in role.permissions() if name in ids
    }
    held = {
        (row.group_id, row.permission_id): row.pk
        for row in through.objects.filter(group__in=list(groups.values()))
    }
    if surplus := [pk for pair, pk in held.items() if pair not in wanted]:
        through.objects.filter(pk__in=surplus).delete()
    through.objects.bulk_create(
        [
            through(group_id=group, permission_id=permission)
            for group, permission in sorted(wanted - held.keys())
        ],
        ignore_conflicts=True,
    )


def _last_sender() -> AppConfig:
    return [config for config in apps.get_app_configs() if config.models_module is not None][-1]
