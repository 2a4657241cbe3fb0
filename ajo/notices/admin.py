"""Which journeys operations may watch."""

from __future__ import annotations

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display

from ajo.core.admin_mixins import Audited
from ajo.notices.models import LiveView


@admin.register(LiveView)
class LiveViewAdmin(Audited, ModelAdmin):
    """A journey, a title, and when somebody counts as stuck."""

    list_display = ["label", "journey", "stuck_after_hours", "is_shown", "page"]
    list_select_related = ["journey"]
    fields = ["journey", "label", "stuck_after_hours", "named_by", "is_shown"]

    @display(description=_("Page"))
    def page(self, view: LiveView) -> SafeString | str:
        if not view.is_shown:
            return "–"
        url = reverse("notice-live", args=[view.journey.key])
        return format_html('<a class="shell-link" href="{}">{}</a>', url, _("Watch"))
