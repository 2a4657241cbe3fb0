"""Looking into JSON text that a strict parser refuses, or that must not be parsed at all. Pure.

One event that is no JSON (`NaN`, a lone surrogate, brackets nested by the thousand) must not cost its neighbours, so a
refused batch is cut into its events by brackets and commas alone, and each is then judged by itself.
"""

from __future__ import annotations

import re

import msgspec

# A whole string, or a quotation mark that begins one without an end, or a mark of structure.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|["\[\]{},]', re.DOTALL)
_MEMBER = re.compile(rb'\s*("[^"\\]*+(?:\\.[^"\\]*+)*+")\s*:(.*)', re.DOTALL)
_any = msgspec.json.Decoder()

PARSE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def members(text: bytes) -> list[bytes] | None:
    """The pieces between the outermost brackets and their commas, unjudged; None when brackets do not close."""
    depth = 0
    start = 0
    pieces: list[bytes] = []
    for token in _TOKEN.finditer(text):
        mark = token[0]
        if mark == b'"':
            return None
        if mark in b"[{":
            depth += 1
            if depth == 1:
                start = token.end()
        elif mark in b"]}":
            depth -= 1
            if depth < 0:
                return None
            if depth == 0:
                last = text[start : token.start()]
                if text[token.end() :].strip():
                    return None
                return [*pieces, last] if pieces or last.strip() else []
        elif mark == b"," and depth == 1:
            pieces.append(text[start : token.start()])
            start = token.end()
    return None


def fields(text: bytes) -> dict[str, bytes] | None:
    """Name → unjudged value of a JSON object; None when it cannot be cut into such pairs."""
    pieces = members(text) if text.lstrip()[:1] == b"{" else None
    if pieces is None:
        return None
    pairs: dict[str, bytes] = {}
    for piece in pieces:
        found = _MEMBER.fullmatch(piece)
        try:
            pairs[msgspec.json.decode(found[1], type=str)] = found[2]  # type: ignore[index]
        except (TypeError, *PARSE_ERRORS):
            return None
    return pairs


def reason(error: Exception) -> str:
    """What a parse error says about the text, as the end of a sentence."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "it is not valid UTF-8"
    return str(error).removeprefix("JSON is malformed: ")


def blame(text: bytes, depth: int = 3) -> str | None:
    """The dotted path of the first field whose value is no JSON, looking `depth` objects deep; None when unknown."""
    for name, value in (fields(text) or {}).items():
        try:
            _any.decode(value)
        except PARSE_ERRORS:
            inner = blame(value, depth - 1) if depth > 1 else None
            return f"{name}.{inner}" if inner else name
    return None
