"""Messages and the switches that hold them."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display

from ajo.core.admin_mixins import Large, LookOnly
from channels.models import Message, SendHold
from profiles.identity import EMAIL, normalise
from profiles.models import Identity

_MESSAGE_COLORS = {
    Message.State.QUEUED.label: "info",
    Message.State.SENDING.label: "info",
    Message.State.SENT.label: "success",
    Message.State.DELIVERED.label: "success",
    Message.State.WITHHELD.label: "warning",
    Message.State.EXPIRED.label: "warning",
    Message.State.UNCERTAIN.label: "warning",
    Message.State.FAILED.label: "danger",
    Message.State.BOUNCED.label: "danger",
    Message.State.COMPLAINED.label: "danger",
    Message.State.QUARANTINED.label: "danger",
}


@admin.register(Message)
class MessageAdmin(LookOnly, Large, ModelAdmin):
    """What was sent to whom, and why something was not."""

    list_display = ["id", "shown_state", "address", "profile", "variant", "reason", "created_at", "sent_at"]
    list_select_related = ["profile", "variant"]
    list_filter = ["state", "channel"]
    search_fields = ["id"]  # asks for the search box; what is searched stands in get_search_results
    search_help_text = _("The number of a message, or the whole email address of a profile")
    fields = [
        *(
            "shown_state",
            "reason",
            "profile",
            "address",
            "channel",
            "configuration",
            "variant",
            "message_class",
        ),
        *("cause_kind", "cause_id", "activity", "visit", "attempt", "provider_id"),
        *("created_at", "expires_at", "sent_at", "lease_until"),
    ]
    readonly_fields = fields

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Message], search_term: str
    ) -> tuple[QuerySet[Message], bool]:
        """By keys that have an index: a scan of all messages would take minutes."""
        term = search_term.strip()
        if not term:
            return queryset, False
        if term.isdecimal() and len(term) < 19:
            return queryset.filter(Q(pk=int(term)) | Q(profile=int(term))), False
        owners = Identity.objects.filter(namespace=EMAIL, value=normalise(EMAIL, term) or "")
        return queryset.filter(profile__in=list(owners.values_list("profile_id", flat=True))), False

    @display(description=_("State"), label=_MESSAGE_COLORS)
    def shown_state(self, message: Message) -> str:
        return str(message.get_state_display())


@admin.register(SendHold)
class SendHoldAdmin(ModelAdmin):
    """Deleting a hold lets its messages go, within a minute."""

    list_display = ["scope", "ref", "reason", "created_at"]
