"""From authored words to what a channel's providers are given.

Compiled once for each distinct text; for a person only what moves is rendered. Rendered bodies are meant to be sent and
dropped, not collected. One module for each channel; `compile_words` is the way in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

from channels.liquid import ContentError
from channels.reaching import Needs
from channels.rendering import direct_mail, email, push, sms, webhook
from channels.rendering.base import (
    LABELS,
    Compiled,
    Envelope,
    Sender,
    Shown,
    Words,
    column_problems,
    compile_field,
)
from channels.rendering.email import CompiledEmail, has_way_out, make_message_id
from profiles.models import Channel

__all__ = [
    "AUTHORED",
    "LABELS",
    "Compiled",
    "CompiledEmail",
    "Envelope",
    "Sender",
    "Shown",
    "Words",
    "compile_email",
    "compile_words",
    "compiled",
    "has_way_out",
    "make_message_id",
    "needs",
    "problems",
]


@dataclass(frozen=True, slots=True)
class _Form:
    """How a channel's words are compiled, which fields they have, what must be there."""

    compile: Callable[[Words, str], Compiled]
    fields: tuple[str, ...]
    missing: Callable[[Words], Iterator[str]]


_FORMS: Mapping[int, _Form] = {
    Channel.EMAIL: _Form(CompiledEmail, ("subject", "preheader", "html", "text"), email.problems),
    Channel.SMS: _Form(sms.CompiledSms, ("text",), sms.problems),
    Channel.PUSH: _Form(
        push.CompiledPush, ("subject", "text", "image_url", "link_url", "columns"), push.problems
    ),
    Channel.DIRECT_MAIL: _Form(direct_mail.CompiledDirectMail, ("columns",), direct_mail.problems),
    Channel.WEBHOOK: _Form(webhook.CompiledWebhook, ("text",), webhook.problems),
}
AUTHORED: Mapping[int, tuple[str, ...]] = {channel: form.fields for channel, form in _FORMS.items()}
"""The channels that can be written for, with their fields."""


def compiled(channel: int, words: Words, tracked_at: str = "") -> Compiled:
    """Compile words that nobody keeps: a preview, a proof. With `tracked_at`, the product's public URL, links (and
    opens, where a channel can) are counted. Raises ContentError."""
    form = _FORMS.get(channel)
    if form is None:
        raise ContentError(f"Nothing can be written for the channel {Channel(channel).label} yet.")
    return form.compile(words, tracked_at)


@lru_cache(maxsize=256)
def compile_words(channel: int, words: Words, tracked_at: str = "") -> Compiled:
    """The compiled words, kept for as long as they are in use; see `compiled`."""
    return compiled(channel, words, tracked_at)


@lru_cache(maxsize=256)
def compile_email(words: Words, tracked_at: str = "") -> CompiledEmail:
    """An email, whose preview has HTML. Raises ContentError."""
    return CompiledEmail(words, tracked_at)


@lru_cache(maxsize=256)
def needs(channel: int, words: Words) -> Needs:
    """What has to be found out for these words before they can be rendered for somebody."""
    form = _FORMS.get(channel)
    found = []
    for field, source in _sources(form, words) if form else ():
        with suppress(ContentError):  # it is told when the words are compiled
            found.append(compile_field(field, source).needs)
    return Needs.all(found)


def problems(words: Words, channel: int = Channel.EMAIL) -> list[str]:
    """Why these words cannot be published: each a sentence with field, line and remedy."""
    form = _FORMS.get(channel)
    if form is None:
        return [f"Nothing can be written for the channel {Channel(channel).label} yet."]
    found = list(form.missing(words))
    for field, source in _sources(form, words):
        if field == "columns":
            continue  # each is one line, and has its number
        try:
            template = compile_field(
                field,
                source,
                is_html=field in {"preheader", "html"},
                is_json=channel == Channel.WEBHOOK and field == "text",
            )
        except ContentError as error:
            found.append(str(error))
        else:
            found.extend(f"{LABELS[field]}: {problem}" for problem in template.problems())
    if "columns" in form.fields:
        found.extend(column_problems(words.columns))
    if not found:
        try:
            form.compile(words, "")
        except ContentError as error:
            found.append(str(error))
    return found


def _sources(form: _Form, words: Words) -> Iterator[tuple[str, str]]:
    """The Liquid of each field."""
    for field in form.fields:
        if field == "columns":
            yield from ((field, source) for _name, source in words.columns)
        else:
            yield field, getattr(words, field)
