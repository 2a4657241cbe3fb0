"""Devices that take pushes: whose, of which kind, when last seen. They register themselves; here they are removed."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display

from ajo.core.admin_mixins import Large, LookOnly
from channels import devices, wording
from channels.models import Device

_ON, _OFF = "on", "off"


@admin.register(Device)
class DeviceAdmin(LookOnly, Large, ModelAdmin):
    """A list without pages of its own: a device has nothing that the list does not say."""

    list_display = ["shown_kind", "shown_person", "locale", "shown_state", "last_seen_at", "created_at"]
    list_display_links = None
    list_select_related = ["profile"]
    list_filter = ["provider", "platform", "is_active"]
    search_fields = ["id"]  # asks for the search box; what is searched stands in get_search_results
    search_help_text = _("The number of a profile")
    actions = ["remove_devices"]

    def has_remove_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("channels.change_device")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Device], search_term: str
    ) -> tuple[QuerySet[Device], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        return queryset.filter(profile=int(term) if term.isdecimal() and len(term) < 19 else 0), False

    @display(description=_("Device"))
    def shown_kind(self, device: Device) -> str:
        return wording.device(device)

    @display(description=_("Person"))
    def shown_person(self, device: Device) -> SafeString:
        url = reverse("admin:profiles_profile_change", args=[device.profile_id])
        return format_html('<a class="text-link" href="{}">{}</a>', url, device.profile)

    @display(description=_("State"), label={_ON: "success", _OFF: "warning"})
    def shown_state(self, device: Device) -> tuple[str, str]:
        return (_ON, gettext("Takes pushes")) if device.is_active else (_OFF, gettext("Off"))

    @admin.action(description=_("Remove: nothing is sent until it registers again"), permissions=["remove"])
    def remove_devices(self, request: HttpRequest, queryset: QuerySet[Device]) -> None:
        self._remove(request, list(queryset.values_list("pk", flat=True)))

    def get_urls(self) -> list[URLPattern]:
        remove = path(
            "<int:pk>/remove/", self.admin_site.admin_view(self.remove_view), name="channels_device_remove"
        )
        return [remove, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Links to a device, such as the audit trail's, lead to those of its person."""
        if request.method not in {"GET", "HEAD"} or not self.has_view_permission(request):
            raise PermissionDenied
        device = get_object_or_404(Device, pk=int(object_id) if object_id.isdecimal() else 0)
        return HttpResponseRedirect(f"{reverse('admin:channels_device_changelist')}?q={device.profile_id}")

    def remove_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """From the page of its person, where it leads back to."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_remove_permission(request):
            raise PermissionDenied
        device = get_object_or_404(Device, pk=pk)
        self._remove(request, [pk])
        return HttpResponseRedirect(reverse("admin:profiles_profile_change", args=[device.profile_id]))

    def _remove(self, request: HttpRequest, device_ids: list[int]) -> None:
        count = devices.remove(device_ids, user=request.user)
        said = ngettext("%(count)d device is removed.", "%(count)d devices are removed.", count)
        messages.success(request, said % {"count": count})
