"""Secrets of providers: settings name a variable of the environment, and only one with the prefix of their service."""

from __future__ import annotations

import os
from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from channels.providers.base import ProviderError


class SecretName(serializers.RegexField):
    """Names a variable. Any name would let the author of a configuration send any secret to a server of his own."""

    def __init__(self, prefix: str, **kwargs: Any) -> None:
        self.prefix = prefix
        defaults = {
            "required": False,
            "allow_blank": True,
            "default": "",
            "help_text": _("Name of the environment variable that holds it: %(prefix)s…")
            % {"prefix": prefix},
        }
        super().__init__(rf"^({prefix}[A-Z0-9_]*)?$", **(defaults | kwargs))


def secret(variable: str, *, what: str) -> str:
    """The value of a variable. Raises ProviderError, with the remedy, when there is none."""
    value = os.environ.get(variable, "") if variable else ""
    if not value:
        raise ProviderError(
            f"{what} is missing: set the environment variable {variable or 'that the configuration names'}.",
            permanent=True,
        )
    return value
