"""Email through Resend's API."""

from __future__ import annotations

from typing import Any

from anymail.backends.resend import EmailBackend
from django.conf import settings as django_settings
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from channels.anymail import AnymailProvider
from channels.providers import registry
from channels.providers.secrets import SecretName, secret
from profiles.models import Channel


class ResendSettings(serializers.Serializer[dict[str, Any]]):
    """The account. Its keys stay in the environment and are named here."""

    api_key_env = SecretName("RESEND_API_KEY", label=_("API key"))
    signing_secret_env = SecretName("RESEND_SIGNING_SECRET", label=_("Webhook signing secret"))


class _Backend(EmailBackend):  # type: ignore[misc]
    def build_message_payload(self, message: Any, defaults: Any) -> Any:
        payload = super().build_message_payload(message, defaults)
        payload.headers["Idempotency-Key"] = message.idempotency_key
        return payload


@registry.register
class ResendProvider(AnymailProvider):
    """Resend drops repeats with the same key for a day."""

    kind = "resend"
    name = "Resend"
    label = _("Resend")
    channel = Channel.EMAIL
    icon = "mail"
    help = _("Sends email through Resend and hears from it what became of each.")
    Settings = ResendSettings
    idempotency_window = 23 * 3600.0

    def make_backend(self) -> EmailBackend:
        return _Backend(
            api_key=secret(str(self.settings.get("api_key_env") or ""), what="Resend's API key"),
            api_url=django_settings.AJO_RESEND_URL,
        )
