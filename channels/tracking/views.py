"""The pages to unsubscribe and to choose. The token in the address is the proof, so there is no login and no cookie.

A GET changes nothing, whoever follows links: only a POST does.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from channels import services
from channels.models import ChannelConfiguration, Message
from channels.tracking import pages, tokens
from profiles import services as profile_services
from profiles.models import Channel, Consent

View = Callable[..., HttpResponse]


@dataclass(frozen=True, slots=True)
class Reader:
    """Who holds the address: the message it came with, and the living profile."""

    message: Message
    profile_id: int
    brand: str

    def is_out(self, channel: int) -> bool:
        return Consent.objects.filter(
            profile_id=self.profile_id, channel=channel, state=Consent.State.OPTED_OUT
        ).exists()

    def leave(self, channel: int, way: str) -> None:
        services.unsubscribe(
            profile_id=self.profile_id, channel=channel, now=timezone.now(), **self._said(way)
        )

    def come_back(self, channel: int, way: str) -> None:
        services.resubscribe(
            profile_id=self.profile_id, channel=channel, now=timezone.now(), **self._said(way)
        )

    def _said(self, way: str) -> dict[str, Any]:
        return {
            "reason": f"{_WAYS[way]}, message {self.message.pk}",
            "about": {"message_id": str(self.message.pk), "way": way},
            "hops": self.message.hops,
        }


_WAYS = {"one_click": "One-click unsubscribe", "page": "Unsubscribe page", "preferences": "Preference page"}


def _public(view: Callable[[HttpRequest, Reader, str], HttpResponse]) -> View:
    """For who holds a token of ours; everybody else reads that the link is not known, and nothing more."""

    @csrf_exempt
    @require_http_methods(["GET", "HEAD", "POST"])
    @functools.wraps(view)
    def public(request: HttpRequest, token: str) -> HttpResponse:
        try:
            reader = _reader(token)
            response = view(request, reader, token) if reader else _unknown()
        except OperationalError:
            text = _("We could not do this right now. Please try again in a few seconds.")
            response = HttpResponse(pages.notice(_("One moment, please"), text), status=503)
            response.headers["Retry-After"] = "5"
        for name, value in pages.HEADERS.items():
            response.headers[name] = value
        return response

    return public


def _reader(token: str) -> Reader | None:
    message_id = tokens.leaving_message(token)
    message = Message.objects.filter(pk=message_id).first() if message_id is not None else None
    if message is None:
        return None
    living = profile_services.living_profiles([message.profile_id])
    configuration = ChannelConfiguration.objects.filter(pk=message.configuration_id).first()
    return Reader(
        message=message,
        profile_id=living.get(message.profile_id, message.profile_id),
        brand=configuration.sender_name if configuration else "",
    )


def _unknown() -> HttpResponse:
    return HttpResponse(pages.notice(pages.UNKNOWN_TITLE, pages.UNKNOWN_TEXT), status=404)


def _not_understood() -> HttpResponse:
    text = _("Nothing was changed. Please open the page again and use its button.")
    return HttpResponse(pages.notice(_("This was not understood"), text), status=400)


@_public
def unsubscribe(request: HttpRequest, reader: Reader, token: str) -> HttpResponse:
    """Asks at a GET; does it at a POST, from its own button or from a mail program (RFC 8058)."""
    channel = reader.message.channel
    if request.method == "POST":
        if request.POST.get("List-Unsubscribe") == "One-Click":
            reader.leave(channel, "one_click")
        elif request.POST.get("action") == "unsubscribe":
            reader.leave(channel, "page")
        elif request.POST.get("action") == "resubscribe":
            reader.come_back(channel, "page")
        else:
            return _not_understood()
    is_out = reader.is_out(channel)
    label = Channel(channel).label
    if is_out:
        title = _("You are unsubscribed")
        text = _(
            "%(channel)s: we no longer send you news and offers. What is already on its way may still arrive."
        )
    elif request.method == "POST":
        title = _("You are subscribed again")
        text = _("%(channel)s: we may send you news and offers.")
    else:
        title = _("Unsubscribe?")
        text = _("%(channel)s: we will send you no more news and offers.")
    return HttpResponse(
        pages.page(
            "unsubscribe.html",
            title=title,
            text=text % {"channel": label},
            brand=reader.brand,
            is_out=is_out,
            here=reverse("unsubscribe", args=[token]),
            preferences=reverse("preferences", args=[token]),
        )
    )


@_public
def preferences(request: HttpRequest, reader: Reader, token: str) -> HttpResponse:
    """One choice for each channel that this installation can send on."""
    active = ChannelConfiguration.objects.filter(is_active=True).values_list("channel", flat=True)
    channels = [Channel(number) for number in sorted({*active, reader.message.channel})]
    if request.method == "POST":
        if request.POST.get("action") != "save":
            return _not_understood()
        chosen = set(request.POST.getlist("channel"))
        for channel in channels:
            is_out = reader.is_out(channel)
            if str(channel.value) not in chosen and not is_out:
                reader.leave(channel, "preferences")
            elif str(channel.value) in chosen and is_out:
                reader.come_back(channel, "preferences")
    return HttpResponse(
        pages.page(
            "preferences.html",
            title=_("How may we reach you?"),
            brand=reader.brand,
            is_saved=request.method == "POST",
            channels=[
                {"value": channel.value, "label": channel.label, "is_on": not reader.is_out(channel)}
                for channel in channels
            ],
            here=reverse("preferences", args=[token]),
        )
    )
