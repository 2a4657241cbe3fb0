"""Addresses that are never sent to: look one up, add one, take one off. The table has a key of two columns, which
Django's admin cannot edit, so this is a page of its own."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from ajo.core.models import AuditEvent
from channels import addresses, services
from channels.models import Suppression
from profiles.models import Channel

SHOWN = 100


class AddressForm(forms.Form):
    """What is typed is an email address or a phone number: each is read as what it looks like."""

    address = forms.CharField(max_length=320)
    channel = forms.TypedChoiceField(coerce=int, choices=Channel.choices, required=False, empty_value=None)

    def clean(self) -> dict[str, Any]:
        found = _read(self.cleaned_data.get("address", ""), self.cleaned_data.get("channel"))
        if found is None:
            problem = _("This is neither an email address nor a phone number with its + and country.")
            raise forms.ValidationError({"address": problem})
        return {"channel": found[0], "address": found[1]}


def _read(address: str, channel: int | None = None) -> tuple[int, str] | None:
    """The channel and the address as suppressions keep it."""
    channel = channel or (Channel.EMAIL if "@" in address else Channel.SMS)
    normal = addresses.normalise(channel, address)
    return None if normal is None else (channel, normal)


@require_http_methods(["GET", "POST"])
def suppressions(request: HttpRequest) -> HttpResponse:
    """The newest suppressions, or the one of the address `?q=`; a POST adds an address or takes one off."""
    user: Any = request.user
    if not user.has_perm("channels.view_suppression"):
        raise PermissionDenied
    form = AddressForm(request.POST or None)
    if request.method == "POST":
        verb = request.POST.get("verb")
        if verb not in {"add", "delete"} or not user.has_perm(f"channels.{verb}_suppression"):
            raise PermissionDenied
        if form.is_valid():
            act = _add if verb == "add" else _delete
            act(request, form.cleaned_data["channel"], form.cleaned_data["address"])
            return redirect(f"{reverse('suppressions')}")
    query = request.GET.get("q", "").strip()
    rows = Suppression.objects.order_by("-created_at")
    if query:
        rows = rows.filter(address=(_read(query) or (0, ""))[1])
    return render(
        request,
        "admin/channels/suppressions.html",
        {
            **admin.site.each_context(request),
            "title": _("Suppressions"),
            "rows": rows[:SHOWN],
            "shown": SHOWN,
            "query": query,
            "form": form,
            "may_add": user.has_perm("channels.add_suppression"),
            "may_delete": user.has_perm("channels.delete_suppression"),
        },
    )


def _add(request: HttpRequest, channel: int, address: str) -> None:
    with transaction.atomic():
        row = services.suppress(channel=channel, address=address)
        AuditEvent.record("create_suppression", row, user=request.user)
    messages.success(request, gettext("%(address)s is never sent to from now on.") % {"address": address})


def _delete(request: HttpRequest, channel: int, address: str) -> None:
    with transaction.atomic():
        row = Suppression.objects.select_for_update().filter(channel=channel, address=address).first()
        if row is None:
            messages.warning(request, gettext("%(address)s was not suppressed.") % {"address": address})
            return
        AuditEvent.record("delete_suppression", row, user=request.user, reason=row.get_reason_display())
        row.delete()
    messages.success(request, gettext("%(address)s may be sent to again.") % {"address": address})
