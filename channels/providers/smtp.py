"""Email over SMTP: any mail server, and the mailbox of the development runtime when no host is given."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings as django_settings
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from ajo.lib import smtp
from channels.providers import registry
from channels.providers.base import Outgoing, Provider, ProviderError, Receipt, Verdict
from profiles.models import Channel

_VERDICTS = {
    smtp.Fate.ACCEPTED: Verdict.ACCEPTED,
    smtp.Fate.REFUSED: Verdict.REFUSED,
    smtp.Fate.DEFERRED: Verdict.DEFERRED,
    smtp.Fate.UNKNOWN: Verdict.UNKNOWN,
}


class SmtpSettings(serializers.Serializer[dict[str, Any]]):
    """Where the mail server is. The password stays in the environment and is named here."""

    host = serializers.CharField(
        required=False, allow_blank=True, default="", help_text=_("Empty: the mailbox of this installation.")
    )
    port = serializers.IntegerField(required=False, default=587, min_value=1, max_value=65535)
    security = serializers.ChoiceField(
        required=False,
        default=smtp.Security.STARTTLS.value,
        choices=[
            (smtp.Security.STARTTLS.value, _("STARTTLS (port 587)")),
            (smtp.Security.TLS.value, _("TLS (port 465)")),
            (smtp.Security.NONE.value, _("None")),
        ],
    )
    username = serializers.CharField(required=False, allow_blank=True, default="")
    password_env = serializers.RegexField(
        # Any name would let the author of a configuration send any secret of the process to a server of his own.
        r"^(SMTP_PASSWORD[A-Z0-9_]*)?$",
        required=False,
        allow_blank=True,
        default="",
        help_text=_("Name of the environment variable that holds the password: SMTP_PASSWORD…"),
    )
    local_name = serializers.RegexField(
        r"^[A-Za-z0-9.\-\[\]:]*$",
        required=False,
        allow_blank=True,
        default="",
        help_text=_("The name that we introduce ourselves with. Empty: our address."),
    )
    connections = serializers.IntegerField(required=False, default=4, min_value=1, max_value=50)
    timeout = serializers.FloatField(required=False, default=20.0, min_value=1.0, max_value=30.0)


@registry.register
class SmtpProvider(Provider):
    """Keeps its connections between batches. An outage of the server is a delay, never a failed message."""

    kind = "smtp"
    label = _("SMTP")
    channel = Channel.EMAIL
    icon = "mail"
    help = _("Sends email through a mail server. Without a host it uses the mailbox of this installation.")
    Settings = SmtpSettings
    timeout = 30.0

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        self._client: smtp.Client | None = None

    def send(self, batch: Sequence[Outgoing]) -> list[Receipt]:
        if self._client is None:
            self._client = smtp.Client(self._server())
        letters = [smtp.Letter(each.message_id, each.sender, each.address, each.body) for each in batch]
        try:
            outcomes = self._client.deliver(letters)
        except smtp.CannotConnect as error:
            raise ProviderError(str(error), permanent=error.is_permanent) from error
        return [
            Receipt(
                message_id=outcome.id,
                verdict=_VERDICTS[outcome.fate],
                provider_id=outcome.text[:200] if outcome.fate is smtp.Fate.ACCEPTED else "",
                detail=outcome.text,
            )
            for outcome in outcomes
        ]

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _server(self) -> smtp.Server:
        values = SmtpSettings(data=dict(self.settings))
        if not values.is_valid():
            problems = "; ".join(
                f"{name}: {' '.join(map(str, errors))}" for name, errors in values.errors.items()
            )
            raise ProviderError(
                f"The settings of the configuration are not valid: {problems}", permanent=True
            )
        chosen = values.validated_data
        if not chosen["host"]:
            return self._mailbox(chosen)
        return smtp.Server(
            host=chosen["host"],
            port=chosen["port"],
            security=smtp.Security(chosen["security"]),
            username=chosen["username"],
            password=_password(chosen["username"], chosen["password_env"]),
            local_name=chosen["local_name"],
            connections=chosen["connections"],
            timeout=chosen["timeout"],
        )

    def _mailbox(self, chosen: Mapping[str, Any]) -> smtp.Server:
        host, _, port = django_settings.AJO_MAILBOX_SMTP.rpartition(":")
        if not port.isdigit():
            raise ProviderError(
                "The configuration names no host and this installation has no mailbox. Give it a host.",
                permanent=True,
            )
        return smtp.Server(
            host=host, port=int(port), connections=chosen["connections"], timeout=chosen["timeout"]
        )


def _password(username: str, variable: str) -> str:
    if not username:
        return ""
    password = os.environ.get(variable, "") if variable else ""
    if not password:
        raise ProviderError(
            f"The login needs a password: set the environment variable {variable or 'that password_env names'}.",
            permanent=True,
        )
    return password
