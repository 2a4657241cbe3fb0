"""Writing Internet mail: headers, and quoted-printable in pieces that can be encoded apart and put together again.

A body is encoded piece by piece: each piece starts at the left margin and ends with a line break or a soft one, so that
pieces join without looking at each other. Carriage returns are dropped and line feeds become CRLF, which also holds
piece by piece: what a mail program decodes equals the whole text, encoded at once.
"""

from __future__ import annotations

import base64
import binascii
import re

CRLF = b"\r\n"
_SOFT_BREAK = b"=\r\n"
_LINE = 76
_WORD_BYTES = 39
"""Bytes of UTF-8 in one encoded word: with base64, its frame and `Subject: ` in front they fill one line."""
MAX_HEADER_TEXT = 900

FORBIDDEN_IN_HEADERS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\x85\u2028\u2029]")
_PLAIN_PHRASE = re.compile(r"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~ ]*")
_ATOM = r"[^\s<>()\[\],;:\\\"@\x00-\x20\x7f-\xa0\u2028\u2029]+"
_ADDRESS = re.compile(f"{_ATOM}@{_ATOM}")


class HeaderRefused(ValueError):
    """A text that may not stand in a header, with the reason as a sentence."""


def canonical(text: str) -> str:
    """The text as it arrives: line breaks are CRLF, lone carriage returns are gone."""
    return text.replace("\r", "").replace("\n", "\r\n")


def quoted_printable(text: str) -> bytes:
    """One piece of a body, starting and ending at the left margin; empty for an empty text."""
    if not text:
        return b""
    if "\r" in text:
        text = text.replace("\r", "")
    encoded = binascii.b2a_qp(text.encode("utf-8", "replace"), istext=True)
    if b"\n" in encoded:
        encoded = encoded.replace(b"\n", CRLF)
        if encoded.endswith(CRLF):
            return encoded
    if len(encoded) - encoded.rfind(b"\n") - 1 >= _LINE:  # no room is left for the "=" of the soft break
        unit = 3 if encoded[-3:-2] == b"=" else 1
        encoded = encoded[:-unit] + _SOFT_BREAK + encoded[-unit:]
    return encoded + _SOFT_BREAK


def close_piece(encoded: bytes) -> bytes:
    """The last piece of a body, which may not end with a soft line break."""
    return encoded[: -len(_SOFT_BREAK)] if encoded.endswith(_SOFT_BREAK) else encoded


def header_text(text: str, *, name: str) -> bytes:
    """An unstructured header's value (a subject), folded, beyond ASCII as encoded words. Raises HeaderRefused."""
    text = text.strip()
    if FORBIDDEN_IN_HEADERS.search(text):
        raise HeaderRefused(f"The {name} contains a line break or a control character.")
    if len(text) > MAX_HEADER_TEXT:
        raise HeaderRefused(f"The {name} has {len(text)} characters; {MAX_HEADER_TEXT} fit.")
    if text.isascii() and "=?" not in text:
        return text.encode() if len(text) + len(name) + 2 <= _LINE else _folded(text, len(name) + 2)
    return b"\r\n ".join(_encoded_words(text))


def mailbox(display_name: str, address: str, *, name: str) -> bytes:
    """`Display name <address>` for From and Reply-To. Raises HeaderRefused."""
    check_address(address, name=name)
    if not display_name:
        return address.encode()
    if FORBIDDEN_IN_HEADERS.search(display_name):
        raise HeaderRefused(f"The name in {name} contains a line break or a control character.")
    if _PLAIN_PHRASE.fullmatch(display_name):
        phrase = display_name.encode()
    elif display_name.isascii():
        phrase = b'"' + re.sub(rb'(["\\])', rb"\\\1", display_name.encode()) + b'"'
    else:
        phrase = b"\r\n ".join(_encoded_words(display_name))
    return phrase + b" <" + address.encode() + b">"


def check_address(address: str, *, name: str) -> None:
    """Raises HeaderRefused unless it is one address that is safe in a header and on the wire."""
    if len(address) > 320 or not _ADDRESS.fullmatch(address):
        raise HeaderRefused(f"The {name} {address[:100]!r} is not an email address.")


def to_ascii_domain(address: str) -> str:
    """The address with its domain in ASCII (punycode), so that only the local part can need SMTPUTF8."""
    local, _, domain = address.rpartition("@")
    if domain.isascii():
        return address
    try:
        return f"{local}@{domain.encode('idna').decode()}"
    except UnicodeError:
        return address


def _encoded_words(text: str) -> list[bytes]:
    words, start, size = [], 0, 0
    for index, character in enumerate(text):
        width = len(character.encode("utf-8", "replace"))
        if size + width > _WORD_BYTES:
            words.append(_encoded_word(text[start:index]))
            start, size = index, 0
        size += width
    words.append(_encoded_word(text[start:]))
    return words


def _encoded_word(text: str) -> bytes:
    return b"=?utf-8?b?" + base64.b64encode(text.encode("utf-8", "replace")) + b"?="


def _folded(text: str, used: int) -> bytes:
    lines = [""]
    for word in text.split(" "):
        if word and lines[-1] and used + len(lines[-1]) + 1 + len(word) > _LINE:
            lines.append(word)
            used = 1
        else:
            lines[-1] = f"{lines[-1]} {word}" if lines[-1] else word
    return "\r\n ".join(lines).encode()
