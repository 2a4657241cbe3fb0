"""Identifiers in their one written form, so that equal ones are equal. Pure: no database, no clock."""

from __future__ import annotations

import re
import unicodedata

import phonenumbers

# The namespaces that the product knows by number; profiles.models.IdentityNamespace has the rows.
USER_ID, ANONYMOUS_ID, EMAIL, PHONE = 1, 2, 3, 4

Key = tuple[int, str]
"""(namespace, normalised value): the primary key of an identity."""

MAX_LENGTH = 255
# What broken clients send in place of an id. One of them as a person would gather thousands of strangers in a profile.
_PLACEHOLDERS = frozenset(
    {"undefined", "null", "(null)", "none", "nil", "nan", "[object object]", "anonymous", "guest", "unknown"}
)
_EMAIL = re.compile(r"[^\s@<>,;\"]{1,64}@[^\s@<>,;\"]+\.[^\s@<>,;\"]+")


class UnusableIdentifier(ValueError):
    """An identifier cannot stand for a person; the message says why."""


def clean_id(text: str | None) -> str | None:
    """A user id or anonymous id, stripped and in NFC; None when it names nobody. Raises when it is too long."""
    if not text:
        return None
    text = text.strip()
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    if not text or text.lower() in _PLACEHOLDERS:
        return None
    if len(text) > MAX_LENGTH:
        raise UnusableIdentifier(
            f"An id of {len(text)} characters cannot be kept. Send ids of at most {MAX_LENGTH} characters."
        )
    return text


def normalise_email(text: str) -> str | None:
    """Stripped, NFC, lower case; None when it is not an address."""
    address = unicodedata.normalize("NFC", text.strip()).lower()
    return address if len(address) <= MAX_LENGTH and _EMAIL.fullmatch(address) else None


def normalise_phone(text: str, region: str | None = None) -> str | None:
    """E.164; None when it is not a possible number. One without + needs the two-letter `region` it is dialled in."""
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def normalise(namespace: int, value: str) -> str | None:
    """The form in which `value` is kept in `namespace`; None when it cannot be an identifier there."""
    if namespace == EMAIL:
        return normalise_email(value)
    if namespace == PHONE:
        return normalise_phone(value)
    try:
        return clean_id(value)
    except UnusableIdentifier:
        return None
