"""The contact policy: one row for all channels, and one for each channel that is to be different."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest
from django.utils.formats import time_format
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display

from ajo.core.admin_mixins import Audited
from channels.models import ContactPolicy


@admin.register(ContactPolicy)
class ContactPolicyAdmin(Audited, ModelAdmin):
    list_display = ["channel", "shown_cap", "shown_hours"]
    fieldsets = [
        (None, {"fields": ["channel"]}),
        (
            _("Frequency cap"),
            {"fields": ["most", "days"], "description": _("Transactional messages go, and do not count.")},
        ),
        (
            _("Quiet hours"),
            {
                "fields": ["quiet_from", "quiet_until"],
                "description": _("Marketing messages wait until they are over; transactional ones go."),
            },
        ),
    ]

    @display(description=_("Frequency cap"))
    def shown_cap(self, policy: ContactPolicy) -> str:
        if policy.most is None:
            return gettext("no limit")
        return ngettext(
            "%(n)d message within %(days)d days", "%(n)d messages within %(days)d days", policy.most
        ) % {"n": policy.most, "days": policy.days}

    @display(description=_("Quiet hours"))
    def shown_hours(self, policy: ContactPolicy) -> str:
        if policy.quiet_from is None or policy.quiet_until is None:
            return gettext("none")
        return gettext("%(begin)s to %(end)s") % {
            "begin": time_format(policy.quiet_from, "H:i"),
            "end": time_format(policy.quiet_until, "H:i"),
        }

    def get_readonly_fields(self, request: HttpRequest, obj: ContactPolicy | None = None) -> list[str]:
        return ["channel"] if obj else []
