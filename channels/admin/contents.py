"""Content: a list, a short form for a new one, and the editor."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Prefetch, QuerySet
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
)
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import UnfoldAdminRadioSelectWidget

from channels import mjml, services, usage
from channels.models import ChannelConfiguration, Content, ContentVersion
from channels.rendering import AUTHORED
from channels.starting_points import STARTING_POINTS
from profiles.models import AttributeDefinition, Channel, EventType

SHOWN_USES = 3
_DRAFT, _PUBLISHED, _BOTH = "draft", "published", "both"
_STATE_COLORS = {_DRAFT: "info", _PUBLISHED: "success", _BOTH: "warning"}


class NewContentForm(forms.ModelForm):  # type: ignore[type-arg]  # Django's own takes no arguments when it runs
    """Name, key, channel and, for an email, what to begin with; everything else is written in the editor."""

    channel = forms.TypedChoiceField(
        label=_("Channel"), coerce=int, initial=Channel.EMAIL.value, widget=UnfoldAdminRadioSelectWidget()
    )
    starting_point = forms.ChoiceField(
        label=_("Begin an email with"), required=False, widget=UnfoldAdminRadioSelectWidget()
    )

    class Meta:
        model = Content
        fields = ("name", "key", "channel")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["starting_point"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [
            (point.key, f"{point.label}: {point.description}") for point in STARTING_POINTS.values()
        ]
        field.initial = next(iter(STARTING_POINTS))
        channels = self.fields["channel"]
        assert isinstance(channels, forms.ChoiceField)
        channels.choices = [(channel, Channel(channel).label) for channel in AUTHORED]


@admin.register(Content)
class ContentAdmin(ModelAdmin):
    """The page of a content is its editor, which speaks to the REST API."""

    form = NewContentForm
    list_display = ["name", "key", "channel", "shown_state", "used_by", "created_at"]
    list_filter = ["channel"]
    search_fields = ["name", "key"]
    fields = ["name", "key", "channel", "starting_point"]
    prepopulated_fields = {"key": ["name"]}

    def has_delete_permission(self, request: HttpRequest, obj: Content | None = None) -> bool:
        return False  # journeys and messages refer to it

    def get_queryset(self, request: HttpRequest) -> QuerySet[Content]:
        versions = ContentVersion.objects.order_by("-number")
        return super().get_queryset(request).prefetch_related(Prefetch("versions", queryset=versions))

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Finds the uses of all rows of the page at once."""
        page = super().get_changelist_instance(request)
        uses = usage.uses_of([content.key for content in page.result_list])
        for content in page.result_list:
            content.uses = uses.get(content.key, [])
        return page

    @display(description=_("State"), label=_STATE_COLORS)
    def shown_state(self, content: Content) -> tuple[str, str]:
        versions = list(content.versions.all())
        draft = next((v for v in versions if v.state == ContentVersion.State.DRAFT), None)
        published = next((v for v in versions if v.state == ContentVersion.State.PUBLISHED), None)
        if published is None:
            return _DRAFT, gettext("Draft")
        name = gettext("Published v%(number)s") % {"number": published.number}
        return (_BOTH, gettext("%(published)s, draft") % {"published": name}) if draft else (_PUBLISHED, name)

    @display(description=_("Used by"))
    def used_by(self, content: Content) -> SafeString | str:
        uses: list[usage.Use] = content.uses  # type: ignore[attr-defined]
        if not uses:
            return "–"
        links = format_html_join(
            ", ", '<a class="text-link" href="{}">{}</a>', ((use.url, use.name) for use in uses[:SHOWN_USES])
        )
        rest = len(uses) - SHOWN_USES
        if rest <= 0:
            return links
        more = ngettext("and %(count)d more", "and %(count)d more", rest) % {"count": rest}
        return format_html("{} {}", links, more)

    def save_model(self, request: HttpRequest, obj: Content, form: Any, change: bool) -> None:
        words = {}
        if obj.channel == Channel.EMAIL:
            point = STARTING_POINTS[form.cleaned_data["starting_point"] or next(iter(STARTING_POINTS))]
            words = {"subject": point.subject, "preheader": point.preheader, "mjml": point.mjml}
        version = services.create_content(
            key=obj.key, name=obj.name, channel=obj.channel, variants=[words], user=request.user
        )
        obj.pk, obj.channel = version.content_id, version.content.channel

    def response_add(
        self, request: HttpRequest, obj: Content, post_url_continue: str | None = None
    ) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:channels_content_change", args=[obj.pk]))

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        content = self.get_object(request, object_id)
        if content is None:
            raise Http404
        if not self.has_view_or_change_permission(request, content):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": content.name,
            "opts": self.opts,
            "original": content,
            **(extra_context or {}),
        }
        if request.method not in {"GET", "HEAD"}:
            return HttpResponseNotAllowed(["GET", "HEAD"])  # the editor saves through the API
        context["boot"] = _boot(request, content)
        return TemplateResponse(request, "admin/channels/content/editor.html", context)


def _boot(request: HttpRequest, content: Content) -> dict[str, Any]:
    """What the editor is told by its page."""
    user = request.user
    return {
        "key": content.key,
        "name": content.name,
        "channel": Channel(content.channel).name.lower(),
        "api": reverse("api-docs"),
        "listUrl": reverse("admin:channels_content_changelist"),
        "docsUrl": reverse("docs-page", args=["content"]),
        "userEmail": getattr(user, "email", ""),
        "canChange": user.has_perm("channels.change_content"),
        "canPublish": user.has_perm("channels.publish_content"),
        "canProof": user.has_perm("channels.send_proof"),
        "canSeePeople": user.has_perm("profiles.view_profile"),
        "fields": _fields(content.channel),
        "events": list(
            EventType.objects.exclude(name__startswith="$")
            .order_by("name")
            .values_list("name", flat=True)[:500]
        ),
        "configurations": [
            {
                "key": each.key,
                "name": each.name,
                "sender": each.sender_name or each.sender_address or each.name,
            }
            for each in ChannelConfiguration.objects.filter(channel=content.channel, is_active=True)
        ],
        "startingPoints": [
            {
                "key": point.key,
                "label": str(point.label),
                "description": str(point.description),
                "icon": point.icon,
                "mjml": point.mjml,
            }
            for point in STARTING_POINTS.values()
        ],
        "tags": mjml.tags_json(),
    }


_LINKS = [
    ("unsubscribe_url", _("Address to unsubscribe"), "link"),
    ("preferences_url", _("Address of the preference page"), "link"),
]


def _fields(channel: int) -> list[dict[str, str]]:
    """The values that every content may use, declared attributes first."""
    attributes = [
        {"path": f"profile.{each.key}", "label": each.label, "group": "profile", "type": each.type}
        for each in AttributeDefinition.objects.all()
    ]
    fixed = [
        *(_LINKS if channel in {Channel.EMAIL, Channel.SMS} else []),
        ("brand.name", _("Name of the sender"), "brand"),
        ("brand.address", _("Address of the sender"), "brand"),
    ]
    return attributes + [
        {"path": path, "label": str(label), "group": group, "type": "text"} for path, label, group in fixed
    ]
