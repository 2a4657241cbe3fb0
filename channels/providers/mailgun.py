"""Email through Mailgun's API."""

from __future__ import annotations

from typing import Any

from anymail.backends.mailgun import EmailBackend
from django.conf import settings as django_settings
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from channels.anymail import AnymailProvider
from channels.providers import registry
from channels.providers.secrets import SecretName, secret
from profiles.models import Channel


class MailgunSettings(serializers.Serializer[dict[str, Any]]):
    """The account. Its keys stay in the environment and are named here."""

    sender_domain = serializers.RegexField(
        r"^[A-Za-z0-9.-]*$",
        required=False,
        allow_blank=True,
        default="",
        help_text=_("As Mailgun knows it. Empty: that of the sender."),
    )
    api_key_env = SecretName("MAILGUN_API_KEY", label=_("API key"))
    signing_key_env = SecretName("MAILGUN_SIGNING_KEY", label=_("Webhook signing key"))


@registry.register
class MailgunProvider(AnymailProvider):
    """Mailgun drops no repeats."""

    kind = "mailgun"
    name = "Mailgun"
    label = _("Mailgun")
    channel = Channel.EMAIL
    icon = "mail"
    help = _("Sends email through Mailgun and hears from it what became of each.")
    Settings = MailgunSettings

    def make_backend(self) -> EmailBackend:
        return EmailBackend(
            api_key=secret(str(self.settings.get("api_key_env") or ""), what="Mailgun's API key"),
            sender_domain=self.settings.get("sender_domain") or None,
            api_url=django_settings.AJO_MAILGUN_URL,
        )
