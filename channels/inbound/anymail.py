"""Mailgun and Resend call: what became of an email, in the words of django-anymail."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from anymail.exceptions import AnymailError
from anymail.signals import AnymailTrackingEvent
from anymail.webhooks.mailgun import MailgunTrackingWebhookView
from anymail.webhooks.resend import ResendTrackingWebhookView
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from ajo.lib.standard_webhooks import is_signed, key_of
from channels.inbound import reports
from channels.models import ChannelConfiguration
from channels.providers.base import ProviderError
from channels.providers.secrets import secret
from channels.tracking import feedback

_NAMES: Final = {
    "delivered": reports.DELIVERED,
    "bounced": reports.BOUNCED,
    "rejected": reports.BOUNCED,
    "failed": reports.BOUNCED,
    "complained": reports.COMPLAINED,
    "opened": feedback.OPENED,
    "clicked": feedback.CLICKED,
}


class NotTheirs(Exception):
    """The call is not signed by the service."""


Read = Callable[[HttpRequest, Mapping[str, Any]], list[AnymailTrackingEvent]]
"""The events of a call; raises NotTheirs, ProviderError when the key is missing, anything else for rubbish."""


@csrf_exempt
@require_POST
def events(request: HttpRequest, key: str) -> HttpResponse:
    """Events of messages of a configuration. Steps on the way and unknown messages are passed over."""
    configuration = ChannelConfiguration.objects.filter(key=key, provider__in=_READERS).first()
    if configuration is None:
        return HttpResponse("There is no such configuration.", status=404, content_type="text/plain")
    try:
        told = _READERS[configuration.provider](request, configuration.settings)
        found = [report for event in told if (report := _report(event, configuration.provider))]
    except (NotTheirs, AnymailError, ProviderError):
        return HttpResponseForbidden("The call is not signed by the service.", content_type="text/plain")
    except (ValueError, LookupError, TypeError, AttributeError):
        return HttpResponse("The call was not understood.", status=400, content_type="text/plain")
    if found:
        reports.store(found, configuration_id=configuration.pk, now=timezone.now())
    return HttpResponse(status=204)


def _report(event: AnymailTrackingEvent, kind: str) -> reports.Report | None:
    name, id = _NAMES.get(event.event_type), str((event.metadata or {}).get("message", ""))
    if name is None or not (id.isascii() and id.isdigit()) or len(id) > 18:
        return None
    about: dict[str, Any] = {"reported_by": kind}
    if name in {feedback.OPENED, feedback.CLICKED}:
        about |= {"is_machine": False, "machine_reason": "", "agent": _text(event.user_agent)}
    if name == feedback.CLICKED:
        about |= {"link": None, "url": _text(event.click_url)}
    told = f"{id} {name} {event.event_id or event.timestamp}"
    return reports.Report(
        int(id),
        name,
        key=f"{kind}:{hashlib.sha256(told.encode(errors='replace')).hexdigest()}",
        detail=_text(event.mta_response or event.description) if name == reports.BOUNCED else "",
        is_hard=name == reports.BOUNCED and _is_hard(event.esp_event),
        properties=about,
    )


def _is_hard(told: Any) -> bool:
    """Whether the service itself says that the address is no good for ever."""
    if not isinstance(told, dict):
        return False
    mailgun, resend = told.get("event-data") or {}, (told.get("data") or {}).get("bounce") or {}
    return (mailgun.get("severity"), mailgun.get("reason")) == ("permanent", "bounce") or (
        resend.get("type") == "Permanent"
    )


def _text(value: Any) -> str:
    return value[:300].replace("\x00", "") if isinstance(value, str) else ""


def _read_mailgun(request: HttpRequest, settings: Mapping[str, Any]) -> list[AnymailTrackingEvent]:
    if request.content_type != "application/json":
        raise NotTheirs
    key = secret(str(settings.get("signing_key_env") or ""), what="Mailgun's signing key")
    view = MailgunTrackingWebhookView(webhook_signing_key=key, webhook_secret=[])
    view.run_validators(request)
    return list(view.parse_events(request))


def _read_resend(request: HttpRequest, settings: Mapping[str, Any]) -> list[AnymailTrackingEvent]:
    key = key_of(secret(str(settings.get("signing_secret_env") or ""), what="Resend's signing secret"))
    id, at, signatures = (
        request.headers.get(f"svix-{name}", "") for name in ("id", "timestamp", "signature")
    )
    if not is_signed(key, id, at, signatures, request.body, now=time.time()):
        raise NotTheirs
    # The signature is checked: a password for the view's own check would only be one more secret.
    view = ResendTrackingWebhookView(webhook_secret="unused:unused", signing_secret=None)
    return list(view.parse_events(request))


_READERS: Final[dict[str, Read]] = {"mailgun": _read_mailgun, "resend": _read_resend}
