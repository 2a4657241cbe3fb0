"""Messages and the switches that hold them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display

from ajo.core.admin_mixins import Audited, Large, LookOnly
from channels import delivery, wording
from channels.answers import answers_to
from channels.liquid import ContentError
from channels.models import CauseKind, Content, Message, MessageDue, SendHold, Suppression, Variant
from channels.offer_uses import decisions_of
from channels.rendering.sms import segments
from channels.source import disarmed, read_shown, read_source
from profiles.identity import EMAIL, normalise
from profiles.models import Channel, Consent, Identity

_COLORS = {state.label: tone for state, tone in wording.TONES.items()}


class ContentFilter(admin.SimpleListFilter):
    """By content: a message knows its variant."""

    title = _("content")
    parameter_name = "content"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return list(Content.objects.values_list("key", "name"))

    def queryset(self, request: HttpRequest, queryset: QuerySet[Message]) -> QuerySet[Message]:
        if not self.value():
            return queryset
        variants = Variant.objects.filter(version__content__key=self.value())
        return queryset.filter(variant__in=list(variants.values_list("pk", flat=True)))


class Stage(NamedTuple):
    """One stop on the way of a message."""

    name: str
    at: datetime | None
    is_over: bool


class OnDevice(NamedTuple):
    """What became of a push on one device."""

    name: str
    state: str
    tone: str
    said: str
    at: datetime


@admin.register(Message)
class MessageAdmin(LookOnly, Large, ModelAdmin):
    """What was sent to whom, and why something was not."""

    list_display = ["shown_content", "shown_state", "shown_reason", "shown_person", "channel", "created_at"]
    list_display_links = ["shown_content"]
    list_select_related = ["profile", "variant__version__content"]
    list_filter = ["state", "channel", "message_class", ContentFilter, "created_at"]
    search_fields = ["id"]  # asks for the search box; what is searched stands in get_search_results
    search_help_text = _("The number of a message or profile, or the whole email address of a person")

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

    @display(description=_("Content"))
    def shown_content(self, message: Message) -> str:
        return _content_name(message)

    @display(description=_("State"), label=_COLORS)
    def shown_state(self, message: Message) -> str:
        return str(message.get_state_display())

    @display(description=_("Reason"))
    def shown_reason(self, message: Message) -> str:
        return wording.reason(message.reason) if message.reason else ""

    @display(description=_("Person"))
    def shown_person(self, message: Message) -> SafeString:
        url = reverse("admin:profiles_profile_change", args=[message.profile_id])
        # The profile may be gone: the outbox has no foreign key in the database.
        name = str(message.profile) if message.profile_id else ""
        return format_html('<a class="people-link" href="{}">{}</a>', url, name)

    def get_urls(self) -> list[URLPattern]:
        name = "channels_message_source"
        source = path("<int:number>/source/", self.admin_site.admin_view(self.source_view), name=name)
        return [source, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Everything about one message in words, and the message itself as it is rendered today."""
        if request.method not in {"GET", "HEAD"} or not self.has_view_permission(request):
            raise PermissionDenied
        message = self._message(object_id)
        problem, source, shown = "", None, None
        try:
            body = delivery.source(message.pk, message.sent_at or message.created_at)
        except ContentError as error:
            problem = str(error)
        else:
            if message.channel == Channel.EMAIL:
                source = read_source(body)
            else:
                shown = read_shown(message.channel, body)
        zone = timezone.get_current_timezone()
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _content_name(message),
            "original": message,
            "message": message,
            "person": str(message.profile),
            "tone": wording.TONES[Message.State(message.state)],
            "verdict": wording.verdict(_fate(message), ZoneInfo(str(zone))),
            "stages": list(_stages(message)),
            "decisions": decisions_of(message) if request.user.has_perm("offers.view_decision") else [],
            "caused_by_journey": message.cause_kind == CauseKind.JOURNEY_INSTANCE,
            "source": source,
            "html": disarmed(source.html) if source and source.html else None,
            "shown": shown,
            "channel": Channel(message.channel).name.lower(),
            "sender": message.configuration.sender_name or message.configuration.sender_address,
            "parts": segments(shown.text) if shown and message.channel == Channel.SMS else None,
            "problem": problem,
            "answers": answers_to(message),
            "devices": list(_on_devices(message)),
            "fact": _PROVIDER_FACTS.get(Channel(message.channel), _("The provider’s number")),
        }
        return TemplateResponse(request, "admin/channels/message/page.html", context)

    def source_view(self, request: HttpRequest, number: int) -> HttpResponse:
        """The raw email as a file: whatever an author wrote is never a page of ours."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        message = self._message(str(number))
        if message.channel != Channel.EMAIL:
            raise Http404
        try:
            body = delivery.source(message.pk, message.sent_at or message.created_at)
        except ContentError as error:
            return HttpResponse(str(error), status=409, content_type="text/plain; charset=utf-8")
        name = f'attachment; filename="message-{message.pk}.eml"'
        return HttpResponse(body, content_type="message/rfc822", headers={"Content-Disposition": name})

    def _message(self, object_id: str) -> Message:
        rows = Message.objects.select_related("profile", "configuration", "variant__version__content")
        return get_object_or_404(rows, pk=int(object_id) if object_id.isdecimal() else 0)


def _on_devices(message: Message) -> Iterator[OnDevice]:
    for row in message.devices.select_related("device").order_by("device"):
        state = Message.State(row.state)
        said = wording.reason(row.reason) if row.reason else ""
        yield OnDevice(wording.device(row.device), str(state.label), wording.TONES[state], said, row.at)


_PROVIDER_FACTS = {
    Channel.WEBHOOK: _("Its system answered"),
    Channel.DIRECT_MAIL: _("The printer’s file"),
}
"""What `Message.provider_id` is on channels where it is no number of the service."""


def _content_name(message: Message) -> str:
    return str(message.variant.version.content)


def _stages(message: Message) -> Iterator[Stage]:
    """Created → sent → opened → clicked, as far as it came and where the channel has these; what stopped it takes the
    place of the rest."""
    State = Message.State
    yield Stage(gettext("Created"), message.created_at, True)
    accepted = {State.SENT, State.DELIVERED, State.BOUNCED, State.COMPLAINED}
    if message.state not in accepted:
        yield Stage(
            str(message.get_state_display()), None, message.state not in {State.QUEUED, State.SENDING}
        )
        return
    yield Stage(gettext("Sent"), message.sent_at, True)
    if message.state != State.SENT:
        yield Stage(str(message.get_state_display()), None, True)
    if message.channel == Channel.EMAIL:
        yield Stage(gettext("Opened"), message.opened_at, message.opened_at is not None)
    if message.channel in {Channel.EMAIL, Channel.SMS, Channel.PUSH}:
        yield Stage(gettext("Clicked"), message.clicked_at, message.clicked_at is not None)


def _fate(message: Message) -> wording.Fate:
    due = MessageDue.objects.filter(pk=message.pk).first()
    consent = Consent.objects.filter(
        profile=message.profile_id, channel=message.channel, state=Consent.State.OPTED_OUT
    ).first()
    address = message.address.strip().lower()
    suppression = Suppression.objects.filter(channel=message.channel, address=address).first()
    return wording.Fate(
        state=message.state,
        reason=message.reason,
        channel=message.channel,
        address=message.address,
        sent_at=message.sent_at,
        due_at=due.due_at if due else None,
        attempt=message.attempt,
        opted_out_at=consent.changed_at if consent else None,
        suppressed_at=suppression.created_at if suppression else None,
        suppressed_for=suppression.reason if suppression else None,
    )


@admin.register(SendHold)
class SendHoldAdmin(Audited, ModelAdmin):
    """Deleting a hold lets its messages go, within a minute."""

    list_display = ["scope", "ref", "reason", "created_at"]
