"""The page of one person in the administration: who they are, where they stand and what happened, from all rooms."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, NamedTuple

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from ajo.timeline import BadCursor, Kind, Page, timeline
from channels import wording
from channels.consent import note_consent
from journeys.models import JourneyInstance
from profiles.admin import ProfileAdmin
from profiles.audiences.stays import memberships_of
from profiles.models import AttributeDefinition, Channel, Consent, Profile

SHOWN = 50
FILTERS: dict[str, tuple[Any, frozenset[Kind]]] = {
    "all": (_("Everything"), frozenset()),
    "events": (_("Events"), frozenset({Kind.EVENT})),
    "journeys": (_("Journeys"), frozenset({Kind.JOURNEY})),
    "messages": (_("Messages"), frozenset({Kind.MESSAGE})),
    "offers": (_("Offers"), frozenset({Kind.DECISION})),
}


class ConsentForm(forms.Form):
    """What a person said to us by another way than a click."""

    channel = forms.TypedChoiceField(
        label=_("Channel"), coerce=int, choices=Channel.choices, widget=UnfoldAdminSelectWidget
    )
    state = forms.TypedChoiceField(
        label=_("What they said"), coerce=int, choices=Consent.State.choices, widget=UnfoldAdminSelectWidget
    )
    reason = forms.CharField(
        label=_("Reason"),
        max_length=200,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("How the person told you, such as “wrote to support on Monday”."),
    )


class Attribute(NamedTuple):
    label: str
    key: str
    value: str
    set_at: datetime | None
    is_sensitive: bool


class ConsentLine(NamedTuple):
    channel: str
    consent: Consent | None


admin.site.unregister(Profile)


@admin.register(Profile)
class PersonAdmin(ProfileAdmin):
    """The list of the profiles room, and a page that only the wiring can compose."""

    def get_urls(self) -> list[URLPattern]:
        return [
            path(
                "<int:profile_id>/timeline/",
                self.admin_site.admin_view(self.timeline_view),
                name="profiles_profile_timeline",
            ),
            path(
                "<int:profile_id>/consent/",
                self.admin_site.admin_view(self.consent_view),
                name="profiles_profile_consent",
            ),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        if request.method not in {"GET", "HEAD"}:
            raise PermissionDenied
        profile = self._profile(request, int(object_id) if object_id.isdecimal() else 0)
        return self._page(request, profile, ConsentForm())

    def timeline_view(self, request: HttpRequest, profile_id: int) -> HttpResponse:
        """A further page of the timeline, to be put below the one before."""
        profile = self._profile(request, profile_id)
        context = {"profile": profile, **_timeline(request, profile)}
        return TemplateResponse(request, "admin/profiles/profile/timeline.html", context)

    def consent_view(self, request: HttpRequest, profile_id: int) -> HttpResponse:
        """Set a consent by hand, for those with the right to change profiles, as in the API."""
        profile = self._profile(request, profile_id)
        if not request.user.has_perm("profiles.change_profile"):
            raise PermissionDenied
        form = ConsentForm(request.POST if request.method == "POST" else None)
        if not form.is_valid():
            return self._page(request, profile, form, status=HTTPStatus.UNPROCESSABLE_ENTITY)
        note_consent(profile=profile, **form.cleaned_data, now=timezone.now(), user=request.user)
        messages.success(request, gettext("The consent is noted."))
        return HttpResponseRedirect(reverse("admin:profiles_profile_change", args=[profile.pk]))

    def _profile(self, request: HttpRequest, profile_id: int) -> Profile:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return get_object_or_404(Profile, pk=profile_id)

    def _page(
        self, request: HttpRequest, profile: Profile, form: ConsentForm, status: int = HTTPStatus.OK
    ) -> HttpResponse:
        walks = JourneyInstance.objects.filter(profile=profile, state=JourneyInstance.State.ACTIVE)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": str(profile),
            "original": profile,
            "profile": profile,
            "survivor": (
                Profile.objects.filter(pk=profile.merged_into).first() if profile.merged_into else None
            ),
            "identities": profile.identities.select_related("namespace").order_by("namespace_id", "value"),
            "attributes": list(_attributes(profile)),
            "consents": list(_consents(profile)),
            "walks": walks.select_related("journey", "version", "journeywait").order_by("-entered_at")[
                :SHOWN
            ],
            "devices": [
                (device, wording.device(device))
                for device in profile.devices.order_by("-is_active", "-last_seen_at")[:SHOWN]
            ],
            "stays": memberships_of(profile.pk, SHOWN),
            "form": form if request.user.has_perm("profiles.change_profile") else None,
            **_timeline(request, profile),
        }
        return TemplateResponse(request, "admin/profiles/profile/page.html", context, status=status)


def _timeline(request: HttpRequest, profile: Profile) -> dict[str, Any]:
    """What the template of a timeline needs; the query chooses a filter and a place to begin at."""
    show = request.GET.get("show", "all")
    show = show if show in FILTERS else "all"
    try:
        page: Page = timeline(
            profile.pk, before=request.GET.get("before"), limit=SHOWN, kinds=FILTERS[show][1]
        )
    except BadCursor:
        page = timeline(profile.pk, limit=SHOWN, kinds=FILTERS[show][1])
    return {
        "page": page,
        "show": show,
        "is_newest": "before" not in request.GET,
        "filters": [(key, label) for key, (label, _kinds) in FILTERS.items()],
        "rows": [
            (
                entry,
                json.dumps(entry.data, indent=2, ensure_ascii=False) if entry.data else "",
                entry.profile_id in page.former_ids,
            )
            for entry in page.entries
        ],
    }


def _attributes(profile: Profile) -> Iterator[Attribute]:
    """Declared ones by their labels, the others by their keys."""
    definitions = AttributeDefinition.objects.in_bulk(list(profile.attributes), field_name="key")
    for key in sorted(profile.attributes):
        definition = definitions.get(key)
        value, set_at = profile.attributes[key], profile.attribute_times.get(key)
        yield Attribute(
            label=definition.label if definition else key,
            key=key,
            value=value if isinstance(value, str) else json.dumps(value, ensure_ascii=False),
            set_at=datetime.fromtimestamp(set_at / 1000, UTC) if set_at else None,
            is_sensitive=bool(
                definition and definition.sensitivity == AttributeDefinition.Sensitivity.SENSITIVE
            ),
        )


def _consents(profile: Profile) -> Iterator[ConsentLine]:
    """The channels that the product sends on or that something was said about."""
    said = {consent.channel: consent for consent in profile.consents.all()}
    for channel in Channel:
        if channel in said or channel in {Channel.EMAIL, Channel.SMS, Channel.PUSH}:
            yield ConsentLine(str(channel.label), said.get(channel))
