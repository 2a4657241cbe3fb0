"""Twilio calls: the status of a message, and what people answer to it.

Twilio signs the address that it calls together with what it says, so the public address of this installation must be
the one that Twilio was given.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Final

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden, HttpResponseNotFound
from django.utils import timezone
from django.utils.html import escape
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from twilio.request_validator import RequestValidator

from channels import addresses, services
from channels.inbound import reports
from channels.inbound.keywords import Wish, wish_of
from channels.models import ChannelConfiguration, Suppression
from channels.providers.base import ProviderError
from channels.providers.twilio_sms import STOPPED_CODE, TwilioProvider, credentials
from profiles import own_events
from profiles import services as profile_services
from profiles.models import Channel, IdentityNamespace
from profiles.own_events import OwnEvent

View = Callable[..., HttpResponse]

_NAMES: Final = {
    "delivered": reports.DELIVERED,
    "read": reports.DELIVERED,
    "undelivered": reports.BOUNCED,
    "failed": reports.BOUNCED,
}
# The number does not exist, or cannot get text messages.
_DEAD_NUMBER: Final = {"21211", "21614", "30005", "30006"}
_WAIT_SECONDS: Final = 5.0
"""Twilio gives up after 15."""


def _signed(view: Callable[[HttpRequest, ChannelConfiguration], HttpResponse]) -> View:
    """Only for Twilio itself, in the name of the configuration's account."""

    @csrf_exempt
    @require_POST
    @functools.wraps(view)
    def signed(request: HttpRequest, key: str) -> HttpResponse:
        configuration = ChannelConfiguration.objects.filter(key=key, provider=TwilioProvider.kind).first()
        if configuration is None:
            return HttpResponseNotFound(
                "There is no such configuration of Twilio.", content_type="text/plain"
            )
        try:
            _account, token, _origin = credentials(configuration.settings)
        except ProviderError as error:
            return HttpResponseForbidden(str(error), content_type="text/plain")
        address = settings.AJO_PUBLIC_URL.rstrip("/") + request.get_full_path()
        signature = request.headers.get("X-Twilio-Signature", "")
        if not RequestValidator(token).validate(address, request.POST, signature):
            return HttpResponseForbidden("The signature is not Twilio's.", content_type="text/plain")
        return view(request, configuration)

    return signed


@_signed
def status(request: HttpRequest, configuration: ChannelConfiguration) -> HttpResponse:
    """What became of a message. Steps on the way there, and messages that are not known, are passed over."""
    message_id = request.GET.get("message", "")
    name = _NAMES.get(request.POST.get("MessageStatus", "").lower())
    if name and message_id.isascii() and message_id.isdigit() and len(message_id) < 19:
        code = request.POST.get("ErrorCode", "")
        code = code if code.isascii() and code.isdigit() else ""
        report = reports.Report(
            int(message_id),
            name,
            key=f"twilio:{message_id}:{name}",
            detail=f"Twilio error {code}" if code and name == reports.BOUNCED else "",
            is_hard=name == reports.BOUNCED and code in _DEAD_NUMBER,
            properties={
                "code": code,
                **({"suppression": Suppression.Reason.STOP.value} if code == STOPPED_CODE else {}),
            },
        )
        reports.store([report], configuration_id=configuration.pk, now=timezone.now())
    return HttpResponse(status=204)


@_signed
def inbound(request: HttpRequest, configuration: ChannelConfiguration) -> HttpResponse:
    """What somebody wrote. STOP closes the number for everybody who has it, START opens it again."""
    number = addresses.normalise(Channel.SMS, request.POST.get("From", ""))
    key = f"twilio:{request.POST.get('MessageSid', '')}"
    reply = ""
    # Twilio calls again when it did not get our answer. An old STOP must not undo a newer START.
    if number and not own_events.is_known(key):
        text = request.POST.get("Body", "").replace("\x00", "")
        by_twilio = request.POST.get("OptOutType", "")
        wish = wish_of(by_twilio or text)
        profile_ids = sorted(
            profile_services.profiles_by_identity(IdentityNamespace.PHONE, [number]).values()
        )
        _grant(wish, number, profile_ids)
        now = timezone.now()
        properties = {
            "channel": "sms",
            "text": text[:1600],
            "wish": wish.value if wish else "",
            "configuration": configuration.key,
        }
        with transaction.atomic():
            own_events.record([OwnEvent(id, reports.RECEIVED, properties, now) for id in profile_ids])
            own_events.note(key)
        if wish is Wish.HELP and not by_twilio:  # else Twilio has answered already
            brand = configuration.sender_name or configuration.name
            reply = _("%(brand)s: reply STOP to get no more messages from us.") % {"brand": brand}
    message = f"<Message>{escape(reply)}</Message>" if reply else ""
    return HttpResponse(
        f'<?xml version="1.0" encoding="UTF-8"?><Response>{message}</Response>', content_type="text/xml"
    )


def _grant(wish: Wish | None, number: str, profile_ids: Sequence[int]) -> None:
    """Do what is wished. The number is closed for all its profiles, also for those who do not own it as an identity."""
    now = timezone.now()
    if wish is Wish.STOP:
        services.suppress(channel=Channel.SMS, address=number, reason=Suppression.Reason.STOP)
        for profile_id in profile_ids:
            services.unsubscribe(
                profile_id=profile_id,
                channel=Channel.SMS,
                reason="Answered STOP",
                now=now,
                about={"way": "keyword"},
                wait_seconds=_WAIT_SECONDS,
            )
    elif wish is Wish.START:
        services.reopen(channel=Channel.SMS, address=number, reason=Suppression.Reason.STOP)
        for profile_id in profile_ids:
            services.resubscribe(
                profile_id=profile_id,
                channel=Channel.SMS,
                reason="Answered START",
                now=now,
                about={"way": "keyword"},
            )
